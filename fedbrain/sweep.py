"""Compares methods on experiments: each is tuned on validation people, and tested once.

    fedbrain sweep ixi_hh_methods --site hh=FOLDER [--workdir=DIR] [--config.FIELD=VALUE]

Every setting of a method is an experiment in a folder of its own, WORKDIR/<method>/setting<k>. Each
repeat of the splits takes the setting with the best score on its validation people; the table has
the test scores of those settings, and no others. The same command resumes an interrupted sweep;
started several times, the processes share the work.
"""

from pathlib import Path
from typing import Any

from fedbrain import cli


def run(config: Any, workdir: Path) -> None:
    """See `fedbrain.experiments.sweep.run`."""
    from fedbrain.experiments import sweep  # seconds, which help does not need

    sweep.run(config, workdir)


if __name__ == "__main__":
    cli.run_config(run, kind="sweep", interrupted="The same command goes on from the last round.")
