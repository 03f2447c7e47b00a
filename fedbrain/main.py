"""Runs an experiment: federated, centralised and local training, evaluation, tables and figures.

    fedbrain train quickstart [--workdir=DIR] [--config.FIELD=VALUE] [--site NAME=FOLDER]

`python -m fedbrain.main --config=configs/quickstart.py` does the same. The same command resumes an
interrupted run. With `--extend` and more `--config.rounds`, a finished run gets more rounds: to the
same bits as if it had had them from the start. Several processes, of a cluster or by hand, share
the clients: docs/clusters.md. `--profile` writes a trace of one round.
"""

from pathlib import Path
from typing import Any

from absl import flags

from fedbrain import cli
from fedbrain.processes.place import ALONE, Place


def run(config: Any, workdir: Path, *, more_rounds: bool = False, place: Place = ALONE) -> None:
    """See `fedbrain.experiments.by_processes.run`."""
    from fedbrain.experiments import by_processes  # seconds, which help does not need

    by_processes.run(config, workdir, more_rounds=more_rounds, place=place)


def _profiled(config: Any, workdir: Path, **options: Any) -> None:
    """`run`, with a trace of one round."""
    from fedbrain.experiments import profile

    with profile.tracing(workdir / profile.FOLDER):
        run(config, workdir, **options)


if __name__ == "__main__":
    EXTEND = flags.DEFINE_bool("extend", False, "Gives the run in --workdir more rounds.")
    PROFILE = flags.DEFINE_bool(
        "profile", False, "Writes a trace of the second round, for Perfetto, to WORKDIR/profile."
    )
    PLACE = cli.define_place()
    cli.run_config(
        lambda c, workdir: (_profiled if PROFILE.value else run)(
            c, workdir, more_rounds=EXTEND.value, place=PLACE()
        ),
        kind="experiment",
        interrupted="The same command goes on from the last round.",
    )
