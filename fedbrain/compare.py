"""Compares algorithms in a study: methods x attacks x seeds.

    fedbrain compare aggregation_study [--workdir=DIR] [--config.FIELD=VALUE]

Prints mean, interval, range and rank of each method. The same command resumes an interrupted study.
"""

from pathlib import Path
from typing import Any

from fedbrain import cli


def run(config: Any, workdir: Path) -> None:
    """See `fedbrain.experiments.compare.run`."""
    from fedbrain.experiments import compare  # seconds, which help does not need

    compare.run(config, workdir)


if __name__ == "__main__":
    cli.run_config(
        run,
        kind="study",
        interrupted="The same command goes on with the cells that are left.",
        prepare=cli.configure,
    )
