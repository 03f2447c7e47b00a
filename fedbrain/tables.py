"""Prints the tables of a grid, finished or not: python -m fedbrain.tables
--workdir=runs/paper_synthetic.

Ours beside published numbers, every client's model on every client's test scans, paired differences
and what may be claimed. Also written to WORKDIR/tables.txt and WORKDIR/tables.json.
"""

from pathlib import Path

from absl import app, flags

from fedbrain import cli
from fedbrain.experiments.grid_tables import run

if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string("workdir", None, "Of the grid.", required=True)
    app.run(
        lambda argv: cli.in_one_sentence(
            argv, lambda: run(Path(WORKDIR.value)), interrupted="Nothing was lost."
        )
    )
