"""How many people a study needs, from the spread in a finished experiment."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.cells import align
from fedbrain.analysis.intervals import by_person
from fedbrain.analysis.predictions import Predictions, concatenate, require_same_scans
from fedbrain.analysis.sample_size import (
    LEVEL,
    MOST,
    Pilot,
    people_needed,
    pilot_of,
    smallest_difference,
)
from fedbrain.analysis.stored_predictions import read_tests
from fedbrain.experiments.saved_models import read_identity

FEWEST = 8  # people of a pilot: with fewer its spread is known to no factor of two


def read_methods(workdir: Path) -> dict[str, Predictions]:
    """Regime or linear regression -> predictions of the test scans of all sites.

    Args:
      workdir: of a finished experiment.

    Raises:
      ValueError: when there are none, or of classes.
    """
    tests = read_tests(workdir)
    if not tests:
        raise ValueError(
            f"{workdir}: expected a finished experiment, got no clients/*/test.tsv. Between"
            " hospitals predictions stay with the sites."
        )
    everywhere = max(len(sites) for sites in tests.values())
    methods = {m: concatenate([sites[s] for s in sorted(sites)]) for m, sites in tests.items()
               if len(sites) == everywhere}  # fmt: skip
    if any(p.classes for p in methods.values()):
        raise ValueError(f"{workdir}: expected a target that is a number, got one of classes.")
    return methods


def differences_of(
    methods: Mapping[str, Predictions], first: str, second: str
) -> Float[np.ndarray, " people"]:
    """Mean absolute error of the first method minus that of the second, one number a person.

    Args:
      methods: of one experiment.
      first: name of one.
      second: name of another.

    Raises:
      ValueError: naming the flag, for a method that is not there, or too few people.
    """
    for flag, name in (("first", first), ("second", second)):
        if name not in methods:
            raise ValueError(f"--{flag}: expected one of {sorted(methods)}, got {name!r}.")
    one, other = methods[first], methods[second]
    require_same_scans(one, other)
    gap = np.abs(one.prediction - one.target) - np.abs(other.prediction - other.target)
    people = by_person(gap, one.subjects)
    if len(people.sums) < FEWEST:
        raise ValueError(
            f"Expected a pilot of at least {FEWEST} test people, got {len(people.sums)}."
        )
    values = people.sums / people.scans
    if not np.std(values) > 0:
        raise ValueError(f"--second: expected another method than {first}, got the same errors.")
    return values


def render(pilot: Pilot, differences: Sequence[float], wanted: float, unit: str) -> str:
    """The table, as text.

    Args:
      pilot: of the experiment.
      differences: to be found, in target units.
      wanted: power.
      unit: of the target.
    """

    def people(difference: float, sd: float) -> str:
        count = people_needed(difference, sd, wanted)
        return f"{count:,}" if count < MOST else f"{MOST:,} or more"

    rows = [["difference", "people", "95 %, from that of the SD"]]
    for d in differences:
        low, high = (people(d, sd) for sd in pilot.sd_95)
        rows.append([f"{d:g} {unit}", people(d, pilot.sd), f"{low} to {high}"])
    low, high = pilot.sd_95
    least = smallest_difference(pilot.people, pilot.sd, wanted)
    return "\n".join(
        [
            f"Pilot: {pilot.people} people, SD of paired differences {pilot.sd:.2f} {unit} (95 %"
            f" {low:.2f} to {high:.2f}), mean {pilot.mean:+.2f}.",
            f"People for power {wanted:g}, paired t test at {LEVEL:g}, two-sided:",
            *align(rows),
            f"As many people as the pilot find differences of {least:.2f} {unit} and more.",
        ]
    )


def run(workdir: Path, first: str, second: str, differences: Sequence[float], power: float) -> None:
    """Prints the table.

    Args:
      workdir: of a finished experiment.
      first: a regime, or the title of a linear regression.
      second: another.
      differences: to be found, in target units.
      power: wanted.

    Raises:
      ValueError: naming the flag or the folder.
    """
    if not LEVEL < power < 1:
        raise ValueError(f"--power: expected a number above {LEVEL:g} and below 1, got {power:g}.")
    if not differences or not all(0 < difference < math.inf for difference in differences):
        raise ValueError(f"--difference: expected numbers above 0, got {list(differences)}.")
    unit = read_identity(workdir)[0].unit
    pilot = pilot_of(differences_of(read_methods(workdir), first, second))
    print(f"{first} - {second}: absolute error, one value a person. These trained models only.")
    print(render(pilot, differences, power, unit))
