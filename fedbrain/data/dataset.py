"""A labelled set of prepared volumes: what a site or a client holds."""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.conform import Recipe
from fedbrain.data.scan_report import Report


@dataclass(frozen=True)
class Scans:
    """Scans with one target each, in a fixed order. A subject may have several."""

    ids: tuple[str, ...]  # sub-012_ses-1
    subjects: tuple[str, ...]  # sub-012
    target: Float[np.ndarray, " n"]  # float32, in target units; NaN where unknown
    volumes: Sequence[
        np.ndarray
    ]  # [d h w c] float32 each, a channel a modality; 0 everywhere where it is missing
    columns: Mapping[str, np.ndarray] = field(
        default_factory=dict
    )  # age, sex, ... [n] float32 each; NaN where unknown

    def __len__(self) -> int:
        return len(self.ids)


class Volumes(Sequence[np.ndarray]):
    """Prepared volumes on disk, one raw float32 file a modality (None: missing), read when asked
    for.

    Raw, because the header of a `.npy` file is parsed by `ast`, which fails now and then in threads
    (CPython 3.11).
    """

    def __init__(self, paths: Sequence[Sequence[Path | None]], shape: tuple[int, int, int]):
        self.paths, self.shape = tuple(paths), shape

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):
        channels = [
            (
                np.zeros(self.shape, np.float32)
                if path is None
                else np.fromfile(path, np.float32).reshape(self.shape)
            )
            for path in self.paths[index]
        ]
        return np.stack(channels, axis=-1)


class _View(Sequence[np.ndarray]):
    """Some members of other sequences, nothing copied."""

    def __init__(self, members: Sequence[tuple[Sequence[np.ndarray], int]]):
        self.members = members

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index):
        volumes, i = self.members[index]
        return volumes[i]


def take(scans: Scans, index: Sequence[int]) -> Scans:
    """The scans at `index`, in that order."""
    return Scans(
        tuple(scans.ids[i] for i in index),
        tuple(scans.subjects[i] for i in index),
        scans.target[np.asarray(index, int)],
        _View([(scans.volumes, i) for i in index]),
        {name: values[np.asarray(index, int)] for name, values in scans.columns.items()},
    )


def concatenate(parts: Sequence[Scans]) -> Scans:
    """All scans of several sets, one set after the other; a column that a set does not have is
    unknown there.
    """
    names = list(dict.fromkeys(name for p in parts for name in p.columns))
    unknown = [np.full(len(p), np.nan, np.float32) for p in parts]
    return Scans(
        tuple(i for p in parts for i in p.ids),
        tuple(s for p in parts for s in p.subjects),
        np.concatenate([p.target for p in parts]).astype(np.float32),
        _View([(p.volumes, i) for p in parts for i in range(len(p))]),
        {
            name: np.concatenate([p.columns.get(name, u) for p, u in zip(parts, unknown)])
            for name in names
        },
    )


def shape_of(parts: Sequence[Scans]) -> tuple[int, int, int, int]:
    """The common shape of all volumes: three axes and the modalities.

    Raises:
      ValueError: when a set is empty or shapes differ.
    """
    if any(len(p) == 0 for p in parts):
        raise ValueError(
            "Expected at least one usable scan with a label at every site, got none at one. See the"
            " data report."
        )
    shapes = {tuple(p.volumes[0].shape) for p in parts}
    if len(shapes) > 1:
        raise ValueError(f"Expected volumes of one shape, got {sorted(shapes)}.")
    d, h, w, c = shapes.pop()
    return d, h, w, c


def volumes_fingerprint(scans: Scans) -> str:
    """Changes when a voxel of a prepared volume changes. Reads them all."""
    checks = [zlib.crc32(np.ascontiguousarray(volume).data) for volume in scans.volumes]
    return hashlib.sha256(repr(checks).encode()).hexdigest()[:16]


def data_fingerprint(scans: Scans) -> str:
    """Changes when a scan is added or removed, or a label or another column changes. Ids do not
    leave: this is a digest.
    """
    digest = hashlib.sha256()
    known = [scans.target, *(scans.columns[name] for name in sorted(scans.columns))]
    for line in sorted(
        "\t".join([i, *(f"{v:.6g}" for v in values)]) for i, *values in zip(scans.ids, *known)
    ):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]


class Preparation(NamedTuple):
    """How an experiment wants the scans of every site prepared."""

    recipe: Recipe
    cache: Path  # folder of prepared volumes
    modalities: tuple[str, ...] = ("T1w",)  # suffixes; only the first one must be there


SiteLoader = Callable[
    [str, Preparation], tuple[Scans, Report]
]  # its first argument: the site's name
