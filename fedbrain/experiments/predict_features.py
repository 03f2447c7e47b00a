"""What a network has computed of each person before its last layer, as a table of features, for
`fedbrain harmonise`: do they tell the site?
"""

import math
from pathlib import Path

from fedbrain.data.dataset import Scans
from fedbrain.data.feature_tables import KEY
from fedbrain.data.tables import write_table
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.models.penultimate import penultimate
from fedbrain.training.evaluate import make_evaluate
from fedbrain.types import Variables


def write_features(
    experiment: Experiment, variables: Variables, scans: Scans, label: str, output: Path
) -> None:
    """Writes a row for each person: the first scan with a label.

    Features of two models are not the same features, so they are of one, the first split's.

    Args:
      experiment: that trained the model.
      variables: of the model.
      scans: of a tree.
      label: what the target's column is called in the table.
      output: the table.

    Raises:
      ValueError: when no scan has a label.
    """
    evaluate = make_evaluate(penultimate(experiment.task))
    values = predict_scans(evaluate, variables, scans, experiment)
    rows = {}
    for subject, target, of_scan in zip(scans.subjects, scans.target, values):
        if math.isfinite(target) and subject not in rows:
            rows[subject] = (subject, f"{target:.9g}", *(f"{v:.9g}" for v in of_scan))
    if not rows:
        raise ValueError(f"--features: expected scans with a label ({label}), got none.")
    columns = [KEY, label.rpartition(":")[2], *(f"feature{k}" for k in range(values.shape[1]))]
    write_table(output, columns, rows.values())
    count = f"{values.shape[1]} features of {len(rows)} people"
    print(f"{count}, by the model of the first split: {output}")
