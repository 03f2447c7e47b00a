"""Test errors of two finished experiments on the same people, and their difference in pairs.

    python -m benchmarks.two_runs --first=WORKDIR --second=WORKDIR [--regimes=federated,federated]

A person counts once: absolute errors of several splits are averaged. People may lie at other sites
in the second experiment; their names decide.
"""

from pathlib import Path

import numpy as np
from absl import app, flags

from fedbrain.analysis.columns import NUMBERS
from fedbrain.analysis.intervals import span
from fedbrain.analysis.predictions import Predictions, concatenate, take
from fedbrain.analysis.results_table import render_accuracy
from fedbrain.analysis.statistics import accuracy, difference
from fedbrain.analysis.stored_predictions import read_tests

FIRST = flags.DEFINE_string("first", None, "Of a finished experiment.", required=True)
SECOND = flags.DEFINE_string("second", None, "Of another, with the same people.", required=True)
REGIMES = flags.DEFINE_list("regimes", ["federated", "federated"], "Whose model, of each.")


def tested(workdir: Path, regime: str) -> Predictions:
    """Test predictions of all sites, in the order of people's names and of their ages.

    Args:
      workdir: of the experiment.
      regime: whose model.

    Raises:
      ValueError: when the experiment has no such regime.
    """
    regimes = read_tests(workdir)
    if regime not in regimes:
        raise ValueError(f"{workdir}: expected one of {sorted(regimes)}, got {regime!r}.")
    p = concatenate(list(regimes[regime].values()))
    people = np.asarray([subject.rpartition("/")[2] for subject in p.subjects])
    return take(p._replace(subjects=people.tolist()), np.lexsort((p.target, people)))


def beside(first: Path, second: Path, regimes: tuple[str, str]) -> str:
    """The errors of both, and their difference in pairs.

    Args:
      first: folder of an experiment.
      second: of another.
      regimes: whose model, of each.

    Raises:
      ValueError: when the two tested other people.
    """
    a, b = tested(first, regimes[0]), tested(second, regimes[1])
    if other := set(a.subjects) ^ set(b.subjects):
        raise ValueError(f"{second}: expected the people of {first}, but for {min(other)}.")
    told = difference(a, b)
    return "\n".join(
        [
            render_accuracy(f"first, {regimes[0]}", accuracy(a), NUMBERS, "years"),
            render_accuracy(f"second, {regimes[1]}", accuracy(b), NUMBERS, "years"),
            f"MAE first - second: {told['mae_difference']:+.2f} years (95 %"
            f" {span(told['mae_difference_95'], '+.2f')})",
        ]
    )


def main(argv: list[str]) -> None:
    """Prints both errors and the paired difference."""
    del argv
    regimes = (REGIMES.value[0], REGIMES.value[-1])
    print(beside(Path(FIRST.value).expanduser(), Path(SECOND.value).expanduser(), regimes))


if __name__ == "__main__":
    app.run(main)
