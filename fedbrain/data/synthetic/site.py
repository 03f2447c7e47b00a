"""A synthetic hospital as a site: people are drawn, scanned, prepared, and kept in the cache."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fedbrain.data.conform import VERSION, conform
from fedbrain.data.dataset import Preparation, Scans, SiteLoader, Volumes
from fedbrain.data.nifti import Volume
from fedbrain.data.prepare import save_prepared
from fedbrain.data.scan_report import Report
from fedbrain.data.splits import unit_hash
from fedbrain.data.synthetic.people import HOSPITALS, Person, draw_person
from fedbrain.data.synthetic.render import MODALITIES, render

# part of every cached file's name: raise it when the maths of people, anatomy or render changes
MODEL = 2
COLUMNS = ("age", "sex", "education_years", "disease_duration_years", "lesion_ml", "sdmt")


def columns_of(people: list[Person]) -> dict[str, np.ndarray]:
    """What the tables of a synthetic hospital say, [n] each; sex is 1 for male."""
    read = {"age": "age_years", "sex": "male"}
    return {
        c: np.asarray([float(getattr(p, read.get(c, c))) for p in people], np.float32)
        for c in COLUMNS
    }


def synthetic(
    hospital: str,
    subjects: int = 100,
    seed: int = 0,
    ms: bool = False,
    label: str = "age",
    flair: bool = True,
    permuted: bool = False,
) -> SiteLoader:
    """People of a synthetic hospital.

    Args:
      hospital: amber, birch or cedar.
      subjects: how many; person i is the same in a larger hospital.
      seed: of the people.
      ms: they have multiple sclerosis.
      label: age, sex, education_years, disease_duration_years, lesion_ml or sdmt.
      flair: the hospital also acquires FLAIR, for experiments that use it.
      permuted: everybody gets somebody else's label: a control that has nothing to learn.
    """
    if hospital not in HOSPITALS:
        raise ValueError(f"Expected a hospital among {', '.join(HOSPITALS)}, got {hospital!r}.")
    if label not in COLUMNS:
        raise ValueError(f"Expected a label among {', '.join(COLUMNS)}, got {label!r}.")

    def load(name: str, preparation: Preparation) -> tuple[Scans, Report]:
        people = [draw_person(hospital, i, seed=seed, ms=ms) for i in range(subjects)]
        has = [m == "T1w" or (flair and m == "FLAIR") for m in preparation.modalities]

        def files(person: Person) -> list[Path | None]:
            return [
                prepared(person, hospital, m, preparation) if h else None
                for m, h in zip(preparation.modalities, has)
            ]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            title = f"{name}: synthesise"
            paths = list(tqdm(pool.map(files, people), title, subjects, unit="scan", leave=False))
        ids, columns = tuple(p.id for p in people), columns_of(people)
        target = columns[label]
        if permuted:
            target = target[np.argsort([unit_hash(f"{seed}/{i}") for i in ids])]
        report = Report(name, found=subjects, kept=subjects, synthetic=True)
        return Scans(ids, ids, target, Volumes(paths, preparation.recipe.shape), columns), report

    return load


def prepared(person: Person, hospital: str, modality: str, preparation: Preparation) -> Path:
    """The prepared file of a person's scan; made when it is not there yet."""
    if modality not in MODALITIES:
        raise ValueError(
            f"config.modalities: a synthetic hospital has {', '.join(MODALITIES)}, got"
            f" {modality!r}."
        )
    scanner = HOSPITALS[hospital].scanner
    text = repr((MODEL, VERSION, preparation.recipe, person, scanner, modality))
    path = preparation.cache / f"synthetic_{hashlib.sha256(text.encode()).hexdigest()[:32]}.f32"
    if not path.exists():
        preparation.cache.mkdir(parents=True, exist_ok=True)
        data, voxel_size_mm, _ = render(person, scanner, modality)
        volume = Volume(data, np.diag([*voxel_size_mm, 1.0]), voxel_size_mm, 0)
        save_prepared(path, conform(volume, preparation.recipe, data > 0))
    return path
