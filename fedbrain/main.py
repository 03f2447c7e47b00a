"""Runs an experiment: federated, centralised and local training, evaluation, tables and figures.

    fedbrain train quickstart [--workdir=DIR] [--config.FIELD=VALUE] [--site NAME=FOLDER]

`python -m fedbrain.main --config=configs/quickstart.py` does the same. The same command resumes an
interrupted run.
"""

from pathlib import Path
from typing import Any

from fedbrain import cli


def run(config: Any, workdir: Path) -> None:
    """See `fedbrain.experiments.experiment.run`."""
    from fedbrain.experiments import experiment  # seconds, which help does not need

    experiment.run(config, workdir)


if __name__ == "__main__":
    cli.run_config(
        run, kind="experiment", interrupted="The same command goes on from the last round."
    )
