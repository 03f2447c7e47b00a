"""Train, validation and test sets by subject, stratified by target, from hashes of ids.

No generator and no order of files is involved, so every site regenerates its own split, on any
machine, and a subject never changes sides because another one was added to another stratum.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.dataset import Scans, take


class Split(NamedTuple):
    """A site's scans in three parts without a common subject."""

    train: Scans
    valid: Scans
    test: Scans


class Fractions(NamedTuple):
    """Shares of subjects; the rest trains."""

    valid: float = 0.2
    test: float = 0.2


def unit_hash(text: str) -> float:
    """A number in [0, 1) that only depends on the text.

    >>> round(unit_hash("sub-01"), 6)
    0.256863
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def pick(
    subjects: Sequence[str],
    target: Float[np.ndarray, " n"],
    fraction: float,
    *,
    seed: str,
    turn: int = 0,
) -> Bool[np.ndarray, " n"]:
    """Picks a share of subjects, stratified by target.

    Subjects sorted by target are cut into blocks of 1 / fraction; within a block they are ranked by
    the hash of their ids, and those whose rank is in the turn's window are picked. Turns 0, 1, ...
    1 / fraction - 1 pick every subject once: a cross-validation.

    Args:
      subjects: ids, each once.
      target: of each subject.
      fraction: of the subjects that are picked.
      seed: part of every hashed text.
      turn: number of the window.

    >>> subjects = [f"sub-{i}" for i in range(10)]
    >>> turns = [pick(subjects, np.arange(10.0), 0.2, seed="0", turn=t) for t in range(5)]
    >>> np.sum(turns, axis=0).tolist()
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    picked = np.zeros(len(subjects), bool)
    if fraction == 0:
        return picked
    block = max(2, round(1 / fraction)) if fraction <= 0.5 else 10
    order = sorted(range(len(subjects)), key=lambda i: (target[i], subjects[i]))
    hashes = [unit_hash(f"{seed}/{subject}") for subject in subjects]
    for first in range(0, len(order), block):
        members = sorted(order[first : first + block], key=lambda i: hashes[i])
        offset = unit_hash(f"{seed}/{first}") if len(members) < block else 0.5
        for rank, i in enumerate(members):
            position = ((rank + offset) / len(members) - turn * fraction) % 1.0
            picked[i] = position < fraction
    return picked


def split_scans(
    scans: Scans,
    fractions: Fractions,
    *,
    seed: int,
    repeat: int = 0,
    inner: int = 0,
    stratify: str = "",
) -> Split:
    """Cuts a site's scans.

    Args:
      scans: of one site.
      fractions: shares of subjects.
      seed: of the whole experiment's splits.
      repeat: chooses the test subjects; consecutive repeats rotate through a cross-validation.
      inner: chooses the validation subjects among the others. Test subjects do not depend on it.
      stratify: a column to stratify by, the target when empty. Two targets of the same people then
        give the same split. `sex,target`: by the target within each sex, people of unknown sex
        being a class of their own.

    Raises:
      ValueError: for shares that leave nobody to train on, a site too small for three parts, or
        a column that is not there or, where it is the last one, not known of everybody.
    """
    if not (fractions.valid >= 0 and fractions.test >= 0 and fractions.valid + fractions.test < 1):
        raise ValueError(f"Expected valid + test < 1, each >= 0, got {fractions}.")
    people = _people(scans, stratify)
    cycle = max(1, round(1 / fractions.test)) if fractions.test else 1
    test = _picked(
        people, fractions.test, seed=f"test/{seed + repeat // cycle}", turn=repeat % cycle
    )
    others = {subject: value for subject, value in people.items() if subject not in test}
    share = fractions.valid / (1 - fractions.test)
    valid = _picked(others, share, seed=f"valid/{seed}/{repeat}", turn=inner)
    index: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for i, subject in enumerate(scans.subjects):
        index["test" if subject in test else "valid" if subject in valid else "train"].append(i)
    for part, fraction in (("train", 1.0), ("valid", fractions.valid), ("test", fractions.test)):
        if fraction and not index[part]:
            raise ValueError(
                f"Expected enough subjects for train, valid and test, got {len(people)}: {part}"
                " is empty. Three people are the fewest; leave the site out, or change"
                " config.splits."
            )
    return Split(*(take(scans, rows) for rows in index.values()))


def columns_of(stratify: str) -> list[str]:
    """The columns that a text names.

    >>> columns_of("sex, age"), columns_of("")
    (['sex', 'age'], [])
    """
    return [name.strip() for name in stratify.split(",") if name.strip()]


def _people(scans: Scans, stratify: str) -> dict[str, float]:
    """Subject -> what subjects are ordered by, in order of ids: the mean of the values of one
    column over the subject's scans that have one, or the place in the order of several columns.

    In that order classes follow each other, that of people without a value last, and every second
    one is turned round, so that also a block across the border of two classes holds people of about
    the same age.
    """
    *classes, last = columns_of(stratify) or [""]
    values = _means(scans, last)
    unknown = sum(not np.isfinite(value) for value in values.values())
    if unknown:
        raise ValueError(
            f"config.splits.stratify: expected a value of {last or 'target'!r} for everybody, got"
            f" none for {unknown} of {len(values)} people. Leave them out, or stratify by other"
            " columns, this one not as the last."
        )
    for column in reversed(classes):
        known = _means(scans, column)
        of_class = {s: v if np.isfinite(v) else np.inf for s, v in known.items()}
        order: list[str] = []
        for k, value in enumerate(sorted(set(of_class.values()))):
            members = [subject for subject in values if of_class[subject] == value]
            order += sorted(members, key=lambda s: (values[s], s), reverse=k % 2 == 1)
        values = {subject: float(order.index(subject)) for subject in values}
    return values


def _means(scans: Scans, column: str) -> dict[str, float]:
    """Subject -> mean of a column, or of the target, over the subject's scans, in order of ids."""
    is_target = not column or (column == "target" and column not in scans.columns)
    values = scans.target if is_target else scans.columns.get(column)
    if values is None:
        have = ", ".join(sorted({"target", *scans.columns}))
        raise ValueError(
            f"config.splits.stratify: expected a column {column!r} of this site, got none; there"
            f" are: {have} (target: the label itself). Name others at the site:"
            f" columns={{{column!r}: 'COLUMN'}}."
        )
    values_of: dict[str, list[float]] = {}
    for subject, value in zip(scans.subjects, values):
        values_of.setdefault(subject, [])
        if np.isfinite(value):
            values_of[subject].append(float(value))
    return {s: float(np.mean(v)) if v else math.nan for s, v in sorted(values_of.items())}


def _picked(people: Mapping[str, float], fraction: float, *, seed: str, turn: int) -> set[str]:
    """The subjects that `pick` picks."""
    subjects = list(people)
    picked = pick(subjects, np.asarray(list(people.values())), fraction, seed=seed, turn=turn)
    return {subjects[i] for i in np.flatnonzero(picked)}
