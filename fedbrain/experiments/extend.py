"""More rounds for a finished run, in its own work directory.

The result is, bit for bit, that of a run which had these rounds from the start. Where it cannot be,
since what the first rounds do depends on how many there are, the extension is refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.experiments.config import Experiment
from fedbrain.experiments.stored_json import damaged
from fedbrain.experiments.workdir import (
    CONFIGURATION,
    claim,
    clean,
    config_of,
    differences,
    read_config,
    write_json,
)

ANEW = "Start another run from its model: --workdir=NEW --config.initial=\"run('{workdir}')\"."


def require_same_beginning(workdir: Path, experiment: Experiment, rounds: int) -> None:
    """Refuses a learning rate that would have been another one in the rounds that are done.

    Args:
      workdir: of the run, for the sentence.
      experiment: with all rounds.
      rounds: of the run so far.

    Raises:
      ValueError: naming the field.
    """
    schedule = experiment.schedule
    if any(schedule(k, rounds) != schedule(k, experiment.rounds) for k in range(rounds + 1)):
        raise ValueError(
            f"{workdir}: --extend: config.schedule is spread over all rounds, so that"
            f" {experiment.rounds} rounds are other ones than {rounds} and some more."
            f" {ANEW.format(workdir=workdir)}"
        )


def extend(workdir: Path, experiment: Experiment, identity: Mapping[str, Any]) -> None:
    """Allows a work directory to hold more rounds; training then goes on from its last one.

    The results so far become `results_<rounds>_rounds.json`.

    Args:
      workdir: of the run.
      experiment: with all rounds.
      identity: configuration and data, as `claim` takes them.

    Raises:
      ValueError: when the run is not there, has more rounds, or differs in anything else, or when
        its rounds would have been other ones.
    """
    if not (workdir / "config.json").is_file():
        raise ValueError(f"{workdir}: --extend: expected the work directory of a run, got none.")
    stored = read_config(workdir)
    rounds = config_of(workdir).get("rounds")
    if not isinstance(rounds, int):
        raise damaged(workdir / "config.json", CONFIGURATION, f"rounds={rounds!r}")
    with_old = clean({**identity, "config": {**identity["config"], "rounds": rounds}})
    changed = differences(stored, with_old)
    if changed:
        raise ValueError(
            f"{workdir}: --extend changes config.rounds alone, got {'; '.join(changed[:3])}."
            f" {ANEW.format(workdir=workdir)}"
        )
    if experiment.rounds < rounds:
        raise ValueError(
            f"{workdir}: --extend: expected config.rounds >= {rounds}, got {experiment.rounds}."
        )
    if experiment.rounds == rounds:
        return
    require_same_beginning(workdir, experiment, rounds)
    with claim(workdir, stored):
        if (workdir / "results.json").is_file():
            (workdir / "results.json").rename(workdir / f"results_{rounds}_rounds.json")
        write_json(workdir / "config.json", clean(identity))
