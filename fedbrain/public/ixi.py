"""IXI: people, three hospitals and images, from the archives and the table as they are published.

References:
  IXI data set, https://brain-development.org/ixi-dataset; CC BY-SA 3.0
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fedbrain.data.tables import parse_number
from fedbrain.public.spreadsheet import Row

NAME = re.compile(r"IXI(\d+)-(Guys|HH|IOP)-(\d+)-(T1|T2|PD|MRA)\.nii(\.gz)?")
HOSPITALS = ("guys", "hh", "iop")
SUFFIXES = {"T1": "T1w", "T2": "T2w", "PD": "PDw", "MRA": "angio"}
SEX = "SEX_ID (1=m, 2=f)"
NEEDED = ("IXI_ID", SEX, "HEIGHT", "WEIGHT", "AGE")
OLDEST = 120.0  # years
SAME_YEARS = 0.01  # ages of one person that differ by less are equal
# column of the tree -> (column of IXI, what a grown person can have)
MEASURES = {"height_cm": ("HEIGHT", 100.0, 230.0), "weight_kg": ("WEIGHT", 25.0, 250.0)}


class Image(NamedTuple):
    """What the name of a file tells."""

    subject: str  # sub-IXI012
    hospital: str  # guys, hh or iop
    suffix: str  # T1w, ...
    extension: str  # .nii or .nii.gz


class Person(NamedTuple):
    """A row of participants.tsv; n/a where it is not known."""

    age: str  # years, at the scan
    sex: str  # M or F
    height_cm: str
    weight_kg: str


UNKNOWN = Person("n/a", "n/a", "n/a", "n/a")


def parse_image(name: str) -> Image | None:
    """What a file is; None for one that is no image of IXI, or of diffusion.

    >>> parse_image("IXI012-HH-1211-T1.nii.gz")
    Image(subject='sub-IXI012', hospital='hh', suffix='T1w', extension='.nii.gz')

    Args:
      name: of the file, without folders.
    """
    match = NAME.fullmatch(name)
    if match is None:
        return None
    suffix = SUFFIXES[match[4]]
    return Image(f"sub-IXI{match[1]}", match[2].lower(), suffix, f".nii{match[5] or ''}")


def read_people(rows: Sequence[Row], path: Any) -> tuple[dict[str, Person], list[str]]:
    """Who is in the table: people whose rows contradict each other have n/a there.

    Args:
      rows: of IXI.xls.
      path: of the file, for the sentences.

    Returns:
      (subject -> person, a sentence for each thing to know).

    Raises:
      ValueError: naming the file, when it has not the columns of IXI.
    """
    if not rows:
        raise ValueError(f"{path}: expected the table of IXI, got no row below its header.")
    missing = [name for name in NEEDED if name not in rows[0]]
    if missing:
        have = ", ".join(repr(name) for name in rows[0] if name) or "none"
        raise ValueError(
            f"{path}: expected the table of IXI with the columns {', '.join(map(repr, missing))},"
            f" got: {have}. Its header must be the first row."
        )
    of_subject: dict[str, list[Row]] = {}
    people, notes = {}, []
    for number, row in enumerate(rows, start=2):
        numbers = {**row, **{name: _number(row[name]) for name in NEEDED}}
        key = numbers["IXI_ID"]
        if key is not None and key == int(key) and key > 0:
            of_subject.setdefault(f"sub-IXI{int(key):03d}", []).append(numbers)
        elif any(str(cell).strip() for cell in row.values()):
            notes.append(f"row {number}: IXI_ID {row['IXI_ID']!r} is no number of a person.")
    for subject, of_one in of_subject.items():
        people[subject], more = _person(of_one)
        if len(of_one) > 1:
            more = [f"{len(of_one)} rows", *more]
        if more:
            notes.append(f"{subject}: {'; '.join(more)}.")
    return people, notes


def _number(cell: Any) -> float | None:
    """A cell as a number, also one that is text; None for anything else."""
    try:
        return parse_number(str(cell))
    except ValueError:
        return None


def _person(rows: Sequence[Row]) -> tuple[Person, list[str]]:
    notes: list[str] = []
    told = sorted({row["AGE"] for row in rows if row["AGE"]})
    ages = [age for age in told if 0 < age <= OLDEST]
    notes += [f"age {age:g} is not likely: n/a" for age in told if age not in ages]
    age = f"{ages[0]:.2f}" if ages else "n/a"
    if not told:
        notes.append("no age")
    elif ages and ages[-1] - ages[0] > SAME_YEARS:
        notes.append(f"ages {' and '.join(f'{a:.2f}' for a in ages)} contradict each other: n/a")
        age = "n/a"
    sexes = {{1.0: "M", 2.0: "F"}.get(row[SEX], "n/a") for row in rows} - {"n/a"}
    if len(sexes) > 1:
        notes.append("sexes contradict each other: n/a")
    sex = sexes.pop() if len(sexes) == 1 else "n/a"
    measures = []
    for name, (column, low, high) in MEASURES.items():
        known = {row[column] for row in rows if row[column]}
        likely = {value for value in known if low <= value <= high}
        notes += [f"{name} {value:g} is not likely: n/a" for value in sorted(known - likely)]
        if len(likely) > 1:
            told = " and ".join(f"{value:g}" for value in sorted(likely))
            notes.append(f"{name} {told} contradict each other: n/a")
        measures.append(f"{likely.pop():g}" if len(likely) == 1 else "n/a")
    return Person(age, sex, *measures), notes


def first_of_each(
    names: Iterable[str], taken: dict[tuple[str, str, str], str]
) -> Iterator[tuple[str, Image | str]]:
    """File -> what it is, or why it is not used: another kind of file, or an image of the same kind
    of a person who has one.

    Args:
      names: of files, with folders.
      taken: (subject, hospital, suffix) -> its file, of sources before this one too; filled here.
    """
    for name in sorted(names):
        image = parse_image(name.rpartition("/")[2])
        if image is None:
            yield name, "no image of IXI by its name"
            continue
        first = taken.setdefault(image[:3], name)
        yield name, image if first == name else f"{image.subject} has {first} already"
