"""A model's predictions for scans: the mean over the views of the experiment."""

import numpy as np
from jaxtyping import Float

from fedbrain.data.dataset import Scans
from fedbrain.data.pipeline import eval_batches
from fedbrain.experiments.config import Experiment
from fedbrain.processes import peers
from fedbrain.training.evaluate import Evaluate
from fedbrain.types import Variables


def predict_scans(
    evaluate: Evaluate, variables: Variables, scans: Scans, experiment: Experiment
) -> Float[np.ndarray, "n *k"]:
    """One number a scan, in target units, or the probability of each class.

    Args:
      evaluate: of the experiment's task.
      variables: of the model.
      scans: labelled or not.
      experiment: says how scans are presented: batches, covariates, views.
    """
    if scans.holder != peers.index():
        return _share(scans, np.zeros(0, np.float32))
    predictions = []
    for view in experiment.views:
        batches = eval_batches(
            scans, batch_size=experiment.batch_size, inputs=experiment.inputs, view=view
        )
        predictions.append(evaluate(variables, batches)[0])
    mean = np.mean(predictions, axis=0, dtype=np.float64)
    return _share(scans, np.asarray(mean, np.float32))


def _share(scans: Scans, predictions: np.ndarray) -> np.ndarray:
    """The predictions of the process that holds the scans, at every process."""
    return np.asarray(peers.exchange(predictions.tolist())[scans.holder], np.float32)
