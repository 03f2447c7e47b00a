"""Compares algorithms: python -m fedbrain.compare --config=configs/aggregation_study.py
[--workdir=DIR].

Methods x attacks x seeds; prints mean, interval, range and rank of each. The same command goes on
with an interrupted study.
"""

from fedbrain import cli
from fedbrain.experiments.compare import run

if __name__ == "__main__":
    cli.run_config(
        run,
        what="study",
        interrupted="The same command goes on with the cells that are left.",
        prepare=cli.configure,
    )
