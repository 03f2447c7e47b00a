"""Three BIDS trees of synthetic heads, as three hospitals keep them: each has the ages in another
table, under another name, and images of another voxel size.

Also a program, `python -m tests.newcomer.trees FOLDER`.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np


class Person(NamedTuple):
    """Who is scanned."""

    age_years: float
    sdmt: int  # symbols in 90 seconds
    sex: str


def people(number: int, seed: int) -> dict[str, Person]:
    """`number` people from 20 to 75 years, by id; a worse score with age."""
    rng = np.random.default_rng(seed)
    ages = rng.permutation(np.linspace(20, 75, number).round(1))
    return {
        f"sub-{i + 1:02d}": Person(age, round(75 - age / 2 + rng.normal(0, 3)), "FM"[i % 2])
        for i, age in enumerate(ages)
    }


def head(person: Person, voxel_mm: float, *, seed: int, skull: bool) -> nib.Nifti1Image:
    """A noisy ball of 150 mm with a ventricle that grows with age, perhaps in a shell."""
    size = round(192 / voxel_mm)
    axis = (np.arange(size) - (size - 1) / 2) * voxel_mm
    radius = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis)), axis=0)
    noise = np.random.default_rng(seed).uniform(80, 120, radius.shape)
    image = noise * (radius < 75) * (radius > 10 + 0.5 * person.age_years)
    if skull:
        image += 150 * ((radius > 80) & (radius < 88))
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = axis[0]
    return nib.Nifti1Image(image.astype(np.int16), affine)


def table(path: Path, *rows: tuple) -> None:
    """A table as BIDS has it; the first row holds the names of the columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def save(image: nib.Nifti1Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def scores(root: Path, persons: dict[str, Person]) -> None:
    """phenotype/sdmt.tsv"""
    rows = [(name, person.sdmt) for name, person in persons.items()]
    table(root / "phenotype" / "sdmt.tsv", ("participant_id", "score"), *rows)


def write_lyon(root: Path, number: int = 12) -> Path:
    """Ages in participants.tsv as `age_at_scan`; heads of 6 mm, and brains in derivatives/hdbet."""
    persons = people(number, seed=1)
    for seed, (name, person) in enumerate(persons.items()):
        file = Path(name, "anat", f"{name}_T1w.nii.gz")
        save(head(person, 6, seed=seed, skull=True), root / file)
        save(head(person, 6, seed=seed, skull=False), root / "derivatives" / "hdbet" / file)
    rows = [(name, person.age_years, person.sex) for name, person in persons.items()]
    table(root / "participants.tsv", ("participant_id", "age_at_scan", "sex"), *rows)
    scores(root, persons)
    return root


def write_bern(root: Path, number: int = 12) -> Path:
    """Ages in sub-*_sessions.tsv as `age_years`; brains of 8 mm, two sessions of each person."""
    persons = people(number, seed=2)
    for seed, (name, person) in enumerate(persons.items()):
        visits = {"ses-1": person, "ses-2": person._replace(age_years=person.age_years + 1)}
        for more, (visit, then) in enumerate(visits.items()):
            image = head(then, 8, seed=100 + 2 * seed + more, skull=False)
            save(image, root / name / visit / "anat" / f"{name}_{visit}_T1w.nii.gz")
        rows = [(visit, then.age_years) for visit, then in visits.items()]
        table(root / name / f"{name}_sessions.tsv", ("session_id", "age_years"), *rows)
    sexes = [(name, person.sex) for name, person in persons.items()]
    table(root / "participants.tsv", ("participant_id", "sex"), *sexes)
    scores(root, persons)
    return root


def write_graz(root: Path, number: int = 12) -> Path:
    """Ages in sub-*_scans.tsv as `Alter`; brains of 10 mm."""
    persons = people(number, seed=3)
    for seed, (name, person) in enumerate(persons.items()):
        file = Path("anat", f"{name}_T1w.nii.gz")
        save(head(person, 10, seed=200 + seed, skull=False), root / name / file)
        row = (file.as_posix(), person.age_years)
        table(root / name / f"{name}_scans.tsv", ("filename", "Alter"), row)
    sexes = [(name, person.sex) for name, person in persons.items()]
    table(root / "participants.tsv", ("participant_id", "sex"), *sexes)
    scores(root, persons)
    return root


def write_trees(folder: Path, number: int = 12) -> Path:
    """The three trees, `folder`/lyon, `folder`/bern and `folder`/graz."""
    write_lyon(folder / "lyon", number)
    write_bern(folder / "bern", number)
    write_graz(folder / "graz", number)
    return folder


if __name__ == "__main__":
    write_trees(Path(sys.argv[1]))
