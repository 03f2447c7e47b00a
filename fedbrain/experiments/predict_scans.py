"""A model's predictions for scans: the mean over the views of the experiment."""

import numpy as np
from jaxtyping import Float

from fedbrain.data.dataset import Scans
from fedbrain.data.pipeline import eval_batches
from fedbrain.experiments.config import Experiment
from fedbrain.training.evaluate import Evaluate
from fedbrain.types import Variables


def predict_scans(
    evaluate: Evaluate, variables: Variables, scans: Scans, experiment: Experiment
) -> Float[np.ndarray, " n"]:
    """One number a scan, in target units.

    Args:
      evaluate: of the experiment's task.
      variables: of the model.
      scans: labelled or not.
      experiment: says how scans are presented: batches, covariates, views.
    """
    predictions = []
    for view in experiment.views:
        batches = eval_batches(
            scans, batch_size=experiment.batch_size, inputs=experiment.inputs, view=view
        )
        predictions.append(evaluate(variables, batches)[0])
    return np.asarray(np.mean(predictions, axis=0, dtype=np.float64), np.float32)
