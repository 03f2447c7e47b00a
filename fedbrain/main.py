"""Runs an experiment: federated, centralised and local training, evaluation, tables and figures.

    fedbrain train quickstart [--workdir=DIR] [--config.FIELD=VALUE] [--site NAME=FOLDER]

`python -m fedbrain.main --config=configs/quickstart.py` does the same. The same command resumes an
interrupted run. With `--extend` and more `--config.rounds`, a finished run gets more rounds: to the
same bits as if it had had them from the start.
"""

from pathlib import Path
from typing import Any

from absl import flags

from fedbrain import cli


def run(config: Any, workdir: Path, *, more_rounds: bool = False) -> None:
    """See `fedbrain.experiments.experiment.run`."""
    from fedbrain.experiments import experiment  # seconds, which help does not need

    experiment.run(config, workdir, more_rounds=more_rounds)


if __name__ == "__main__":
    EXTEND = flags.DEFINE_bool("extend", False, "Gives the run in --workdir more rounds.")
    cli.run_config(
        lambda config, workdir: run(config, workdir, more_rounds=EXTEND.value),
        kind="experiment",
        interrupted="The same command goes on from the last round.",
    )
