"""Runs a grid: python -m fedbrain.grid --config=configs/paper_synthetic.py [--workdir=DIR]
[--config.FIELD=VALUE].

A first experiment, and rows that start from it, for every seed. Each is an experiment in a folder
of its own, WORKDIR/<row>/seed<k>. The same command goes on where it stopped; several of them, at
once, share the work. `python -m fedbrain.tables --workdir=DIR` prints what came out so far.
"""

from fedbrain import cli
from fedbrain.experiments.grid import run

if __name__ == "__main__":
    cli.run_config(run, what="grid", interrupted="The same command goes on from the last round.")
