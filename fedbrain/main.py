"""Runs an experiment: federated, centralised and local training, evaluation, tables and figures.

    python -m fedbrain.main --config=configs/quickstart.py [--workdir=DIR] [--config.FIELD=VALUE]

The same command resumes an interrupted run.
"""

from fedbrain import cli
from fedbrain.experiments.experiment import run

if __name__ == "__main__":
    cli.run_config(
        run, kind="experiment", interrupted="The same command goes on from the last round."
    )
