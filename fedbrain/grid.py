"""Runs a grid: a first experiment, and rows of experiments that start from it, for every seed.

    python -m fedbrain.grid --config=configs/paper_synthetic.py [--workdir=DIR]

Each experiment has a folder of its own, WORKDIR/<row>/seed<k>. The same command resumes an
interrupted grid; started several times, the processes share the work. `python -m fedbrain.tables
--workdir=DIR` prints the results so far.
"""

from fedbrain import cli
from fedbrain.experiments.grid import run

if __name__ == "__main__":
    cli.run_config(run, kind="grid", interrupted="The same command goes on from the last round.")
