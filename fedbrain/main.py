"""Runs an experiment: python -m fedbrain.main --config=configs/quickstart.py [--workdir=DIR] [--config.FIELD=VALUE].

The same command resumes an interrupted run.
"""

from fedbrain import startup
from fedbrain.conduct import run

if __name__ == "__main__":
    startup.run_config(run, what="experiment", interrupted="The same command goes on from the last round.")
