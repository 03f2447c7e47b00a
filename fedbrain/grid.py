"""Runs a grid: a first experiment, and rows of experiments that start from it, for every seed.

    fedbrain grid paper_synthetic [--workdir=DIR] [--config.FIELD=VALUE]
    fedbrain grid paper --site NAME=FOLDER --second_site NAME=FOLDER,label=TABLE:COLUMN

`--site` gives the sites of the first experiment, `--second_site` those of the others.
Each experiment has a folder of its own, WORKDIR/<row>/seed<k>. The same command resumes an
interrupted grid; started several times, the processes share the work. `fedbrain tables WORKDIR`
prints the results so far.
"""

from pathlib import Path
from typing import Any

from fedbrain import cli


def run(config: Any, workdir: Path) -> None:
    """See `fedbrain.experiments.grid.run`."""
    from fedbrain.experiments import grid  # seconds, which help does not need

    grid.run(config, workdir)


if __name__ == "__main__":
    cli.run_config(run, kind="grid", interrupted="The same command goes on from the last round.")
