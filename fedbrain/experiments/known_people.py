"""Who trained a model: `clients/<client>/scans.tsv`, and whether those people are among new scans.

The table names subjects: it stays in the client's own folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fedbrain.data.dataset import Scans
from fedbrain.data.overlap import checksums
from fedbrain.data.regimes import LEFT_OUT
from fedbrain.data.tables import read_table, write_table
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.split_id import SplitId, split_client

FIRST = ("scan_id", "participant_id", "image")  # then a column for each split: train, valid or test
SEEN = ("train", "valid")  # parts that a model was trained on, or chosen by


class People(NamedTuple):
    """Who trained models, or chose their round."""

    images: set[str]  # digests of prepared images
    ids: set[str]  # of participants
    silent: list[Path]  # work directories, or a file, that do not say who trained


class Known(NamedTuple):
    """New scans of people who trained a model, or chose its round."""

    same_image: list[str]  # ids of new scans
    same_id: list[str]  # ids of other new scans, whose participant id is that of such a person
    silent: list[Path]  # work directories, or a file, that do not say who trained


def write_scans(workdir: Path, experiment: Experiment, clients: Mapping[str, Scans]) -> None:
    """Writes each client's scans, a digest of each image, and the part it has in every split.

    Args:
      workdir: of the experiment.
      experiment: says how scans are split.
      clients: name -> scans.
    """
    ids = [SplitId(r, i) for r in experiment.repeats for i in range(experiment.inner_splits)]
    for name, scans in clients.items():
        parts = []
        for split_id in ids:
            split = split_client(experiment, scans, split_id)
            parts.append(
                {scan: part for part in split._fields for scan in getattr(split, part).ids}
            )
        rows = [
            (scan, subject, digest.hex(), *(part.get(scan, "n/a") for part in parts))
            for scan, subject, digest in zip(scans.ids, scans.subjects, checksums(scans))
        ]
        path = workdir / "clients" / name / "scans.tsv"
        write_table(path, [*FIRST, *(split_id.name for split_id in ids)], rows)


def people_of(workdirs: Sequence[Path], federation: str) -> People:
    """The people who trained models.

    Args:
      workdirs: of the models.
      federation: whose models: `local-<client>` was trained on that client's scans alone,
        `without-<client>` on those of all others.
    """
    images, ids, silent = set(), set(), []
    only = federation.removeprefix("local-") if federation.startswith("local-") else "*"
    for workdir in workdirs:
        tables = sorted(workdir.glob(f"clients/{only}/scans.tsv"))
        left_out = federation.startswith(LEFT_OUT) and federation.removeprefix(LEFT_OUT)
        tables = [table for table in tables if table.parent.name != left_out]
        for row in [row for table in tables for row in read_table(table)]:
            if any(value in SEEN for name, value in row.items() if name not in FIRST):
                images.add(row["image"])
                ids.add(row["participant_id"])
        if not tables:
            silent.append(workdir)
    return People(images, ids, silent)


def find_known(workdirs: Sequence[Path], federation: str, scans: Scans) -> Known:
    """Looks for the people who trained models, by image and by participant id.

    Args:
      workdirs: of the models.
      federation: see `people_of`.
      scans: new ones.
    """
    return find_among(people_of(workdirs, federation), scans)


def find_among(people: People, scans: Scans) -> Known:
    """The same, where the people were read already.

    Args:
      people: who trained models.
      scans: new ones.
    """
    new = list(zip(scans.ids, scans.subjects, checksums(scans)))
    same_image = [scan for scan, _, digest in new if digest.hex() in people.images]
    same_id = [
        scan
        for scan, subject, digest in new
        if subject in people.ids and digest.hex() not in people.images
    ]
    return Known(same_image, same_id, people.silent)


def warn(known: Known, scans: int) -> str:
    """A sentence for the screen; empty when nobody is known.

    Args:
      known: of the new scans.
      scans: how many new ones there are.
    """
    lines = []
    if known.same_image:
        lines.append(
            f"Warning: {len(known.same_image)} of {scans} scans are images that the model was"
            f" trained on or chosen by, for instance {known.same_image[0]}. Errors on them say"
            " nothing about new people."
        )
    if known.same_id:
        lines.append(
            f"Warning: {len(known.same_id)} of {scans} scans have the participant id of a person"
            f" whom the model was trained on or chosen by, for instance {known.same_id[0]}. If it"
            " is the same person, errors on them say nothing about new people."
        )
    lines += [
        f"{workdir}: does not say who was trained on"
        + (" (no clients/*/scans.tsv)" if workdir.suffix != ".safetensors" else "")
        + ", so that nobody could be looked for."
        for workdir in known.silent
    ]
    return "\n".join(lines)
