"""Loader of a synthetic hospital: people are drawn, scanned and prepared; volumes are cached."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from fedbrain import progress
from fedbrain.data.class_labels import parse_label
from fedbrain.data.conform import VERSION, conform
from fedbrain.data.dataset import Preparation, Scans, SiteLoader, Volumes
from fedbrain.data.nifti import Volume
from fedbrain.data.prepared_file import STORAGES, DamagedError, read_notes, save_prepared
from fedbrain.data.scan_report import Report
from fedbrain.data.splits import unit_hash
from fedbrain.data.synthetic.people import HOSPITALS, Person, draw_person
from fedbrain.data.synthetic.render import MODALITIES, render

MODEL = 2  # part of every cached file's name: raise it when people, anatomy or render changes
COLUMNS = ("age", "sex", "education_years", "disease_duration_years", "lesion_ml", "sdmt")


def columns_of(people: list[Person]) -> dict[str, np.ndarray]:
    """The columns of a synthetic hospital's tables, [n] each; sex is 1 for male."""
    fields = {"age": "age_years", "sex": "male"}

    def column(name: str) -> np.ndarray:
        values = [float(getattr(person, fields.get(name, name))) for person in people]
        return np.asarray(values, np.float32)

    return {name: column(name) for name in COLUMNS}


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
      permuted: labels are permuted between people: a control in which nothing can be learnt.
    """
    if hospital not in HOSPITALS:
        raise ValueError(f"Expected a hospital among {', '.join(HOSPITALS)}, got {hospital!r}.")
    if label not in COLUMNS:
        raise ValueError(f"Expected a label among {', '.join(COLUMNS)}, got {label!r}.")

    def load(name: str, preparation: Preparation) -> tuple[Scans, Report]:
        people = [draw_person(hospital, i, seed=seed, ms=ms) for i in range(subjects)]
        acquired = {"T1w", "FLAIR"} if flair else {"T1w"}
        ids = tuple(person.id for person in people)
        columns = columns_of(people)
        target = _target(columns[label], label, preparation.classes)
        if permuted:
            target = target[np.argsort([unit_hash(f"{seed}/{i}") for i in ids])]
        volumes = _volumes(people, hospital, acquired, preparation, title=f"{name}: synthesise")
        report = Report(name, found=subjects, kept=subjects, synthetic=True)
        return Scans(ids, ids, target, volumes, columns), report

    return load


def _target(values: np.ndarray, label: str, classes: tuple[str, ...]) -> np.ndarray:
    """The label of everybody; a sex is written as tables write it."""
    texts = ["FM"[int(v)] if label == "sex" else f"{v:g}" for v in values]
    return (
        np.asarray([parse_label(t, label, classes) for t in texts], np.float32)
        if classes
        else values
    )


def _volumes(
    people: list[Person],
    hospital: str,
    acquired: set[str],
    preparation: Preparation,
    *,
    title: str,
) -> Volumes:
    """The volumes of these people in the acquired modalities, made on all cores."""
    make = prepared if preparation.scratch is None else place_of

    def files(person: Person) -> list[Path | None]:
        return [
            make(person, hospital, modality, preparation) if modality in acquired else None
            for modality in preparation.modalities
        ]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        todo = pool.map(files, people)
        paths = list(progress.each(todo, title, len(people), unit="scan", leave=False))
    makers = {
        path: partial(prepared, person, hospital, modality, preparation._replace(cache=path.parent))
        for person, files_of_person in zip(people, paths)
        for modality, path in zip(preparation.modalities, files_of_person)
        if path is not None and preparation.scratch in (None, path.parent)
    }
    digests: list[bytes] = []
    if preparation.scratch is not None:
        digests = [str(first and first.name).encode() for first, *_ in paths]
    return Volumes(paths, preparation.recipe.shape, makers, digests)


def name_of(person: Person, hospital: str, modality: str, preparation: Preparation) -> str:
    """The name of the prepared file of a person's scan."""
    if modality not in MODALITIES:
        raise ValueError(
            f"config.modalities: a synthetic hospital has {', '.join(MODALITIES)}, got"
            f" {modality!r}."
        )
    scanner = HOSPITALS[hospital].scanner
    text = repr((MODEL, VERSION, preparation.recipe, person, scanner, modality))
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"synthetic_{digest}{STORAGES[preparation.recipe.storage].suffix}"


def place_of(person: Person, hospital: str, modality: str, preparation: Preparation) -> Path:
    """Where the prepared file is: in the cache, or else in the scratch folder, made or not."""
    name = name_of(person, hospital, modality, preparation)
    try:
        read_notes(preparation.cache / name, preparation.recipe.shape)
    except DamagedError:
        return (preparation.scratch or preparation.cache) / name
    return preparation.cache / name


def prepared(person: Person, hospital: str, modality: str, preparation: Preparation) -> Path:
    """The prepared file of a person's scan, which is made when it does not exist yet."""
    path = preparation.cache / name_of(person, hospital, modality, preparation)
    scanner = HOSPITALS[hospital].scanner
    try:
        read_notes(path, preparation.recipe.shape)
    except DamagedError:
        data, voxel_size_mm, _ = render(person, scanner, modality)
        volume = Volume(data, np.diag([*voxel_size_mm, 1.0]), voxel_size_mm, 0)
        save_prepared(path, conform(volume, preparation.recipe, data > 0))
    return path
