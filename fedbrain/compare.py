"""Compares algorithms in a study: methods x attacks x seeds.

    python -m fedbrain.compare --config=configs/aggregation_study.py [--workdir=DIR]

Prints mean, interval, range and rank of each method. The same command resumes an interrupted study.
"""

from fedbrain import cli
from fedbrain.experiments.compare import run

if __name__ == "__main__":
    cli.run_config(
        run,
        kind="study",
        interrupted="The same command goes on with the cells that are left.",
        prepare=cli.configure,
    )
