"""Writes synthetic hospitals as BIDS trees, each in its own orientation, voxel type and size."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
from tqdm import tqdm

from fedbrain.data.synthetic.people import HOSPITALS, Person, Scanner, draw_person
from fedbrain.data.synthetic.render import render
from fedbrain.data.tables import write_table


def save_nifti(path: Path, data: np.ndarray, scanner: Scanner) -> None:
    """Stores a RAS volume in the scanner's order and type (integers with slope 1)."""
    affine = np.diag([*scanner.voxel_size_mm, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.asarray(data.shape) - 1) / 2
    transform = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(scanner.axcodes)
    )
    stored = nib.orientations.apply_orientation(data, transform)
    affine = affine @ nib.orientations.inv_ornt_aff(transform, data.shape)
    if scanner.dtype != "float32":
        stored = np.round(stored)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(stored.astype(scanner.dtype), affine), path)  # pyright: ignore


def write_hospital(root: Path, hospital: str, people: list[Person]) -> None:
    """One BIDS tree: T1w, participants.tsv; FLAIR and phenotype/sdmt.tsv too for people with
    multiple sclerosis.
    """
    scanner = HOSPITALS[hospital].scanner

    def write(person: Person) -> None:
        for modality in ("T1w", "FLAIR") if person.ms else ("T1w",):
            image = render(person, scanner, modality).data
            save_nifti(root / person.id / "anat" / f"{person.id}_{modality}.nii.gz", image, scanner)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(tqdm(pool.map(write, people), f"{hospital}: write", len(people), unit="scan"))
    description = {
        "Name": f"Synthetic hospital {hospital}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [
            {"Name": "fedbrain.synthesise", "Description": "Synthetic: no real person is shown."}
        ],
    }
    (root / "dataset_description.json").write_text(json.dumps(description, indent=2) + "\n")
    rows = [(p.id, p.age_years, "M" if p.male else "F") for p in people]
    write_table(root / "participants.tsv", ["participant_id", "age", "sex"], rows)
    patients = [p for p in people if p.ms]
    if patients:
        columns = [
            "participant_id",
            "sdmt_total",
            "education_years",
            "disease_duration_years",
            "lesion_ml",
        ]
        lines = [
            (p.id, p.sdmt, p.education_years, p.disease_duration_years, round(p.lesion_ml, 2))
            for p in patients
        ]
        write_table(root / "phenotype" / "sdmt.tsv", columns, lines)


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
