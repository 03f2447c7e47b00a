"""Writes synthetic hospitals as BIDS trees, each in its own orientation, voxel type and size."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np

from fedbrain import progress
from fedbrain.data.synthetic.people import HOSPITALS, Person, Scanner, draw_person
from fedbrain.data.synthetic.render import render
from fedbrain.data.tables import write_table

MEASURES = ("sdmt_total", "education_years", "disease_duration_years", "lesion_ml")


def save_nifti(path: Path, data: np.ndarray, scanner: Scanner) -> None:
    """Stores a RAS volume in the scanner's order and type (integers with slope 1)."""
    affine = np.diag([*scanner.voxel_size_mm, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.asarray(data.shape) - 1) / 2
    ras = nib.orientations.axcodes2ornt("RAS")
    order = nib.orientations.axcodes2ornt(scanner.axcodes)
    transform = nib.orientations.ornt_transform(ras, order)
    stored = nib.orientations.apply_orientation(data, transform)
    affine = affine @ nib.orientations.inv_ornt_aff(transform, data.shape)
    if scanner.dtype != "float32":
        stored = np.round(stored)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(stored.astype(scanner.dtype), affine), path)  # pyright: ignore


def write_hospital(root: Path, hospital: str, people: list[Person]) -> None:
    """One BIDS tree: T1w and participants.tsv.

    For people with multiple sclerosis, FLAIR and phenotype/sdmt.tsv too.
    """
    scanner = HOSPITALS[hospital].scanner

    def write(person: Person) -> None:
        for modality in ("T1w", "FLAIR") if person.ms else ("T1w",):
            path = root / person.id / "anat" / f"{person.id}_{modality}.nii.gz"
            try:
                save_nifti(path, render(person, scanner, modality).data, scanner)
            except OSError as error:  # of the disk: it does not name the file
                raise OSError(error.errno, error.strerror, str(path)) from None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        todo = pool.map(write, people)
        list(progress.each(todo, f"{hospital}: write", len(people), unit="scan"))
    generator = {
        "Name": "fedbrain.synthesise",
        "Description": "Synthetic: no real person is shown.",
    }
    description = {
        "Name": f"Synthetic hospital {hospital}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [generator],
    }
    (root / "dataset_description.json").write_text(json.dumps(description, indent=2) + "\n")
    rows = [(p.id, p.age_years, "M" if p.male else "F") for p in people]
    write_table(root / "participants.tsv", ["participant_id", "age", "sex"], rows)
    patients = [p for p in people if p.ms]
    if patients:
        rows = [
            (p.id, p.sdmt, p.education_years, p.disease_duration_years, round(p.lesion_ml, 2))
            for p in patients
        ]
        write_table(root / "phenotype" / "sdmt.tsv", ["participant_id", *MEASURES], rows)


def write_cohort(root: Path, *, healthy: int, ms: int, seed: int) -> list[Path]:
    """All hospitals, `healthy` and `ms` people each.

    Raises:
      ValueError: when the folder is not empty.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(
            f"{root}: expected a new or empty folder, got one with files. Choose another --out."
        )
    folders = []
    for hospital in HOSPITALS:
        people = [draw_person(hospital, i, seed=seed) for i in range(healthy)]
        people += [draw_person(hospital, i, seed=seed, ms=True) for i in range(ms)]
        write_hospital(root / hospital, hospital, people)
        folders.append(root / hospital)
    return folders
