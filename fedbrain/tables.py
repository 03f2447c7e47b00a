"""Prints the tables of a grid, finished or not.

    python -m fedbrain.tables --workdir=runs/paper_synthetic

Our numbers beside published ones, every client's model on every client's test scans, paired
differences and what may be claimed. Also written to WORKDIR/tables.txt and WORKDIR/tables.json.
"""

from pathlib import Path

from absl import flags

from fedbrain import cli
from fedbrain.experiments.grid_tables import run

if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string("workdir", None, "Work directory of the grid.", required=True)
    cli.run_flags(lambda: run(Path(WORKDIR.value)), interrupted="Nothing was lost.")
