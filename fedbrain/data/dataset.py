"""A labelled set of prepared volumes: what a site or a client holds."""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.prepared_file import DamagedError, read_prepared
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import Report


@dataclass(frozen=True)
class Scans:
    """Scans with one target each, in a fixed order. A subject may have several."""

    ids: tuple[str, ...]  # sub-012_ses-1
    subjects: tuple[str, ...]  # sub-012
    target: Float[np.ndarray, " n"]  # float32, in target units; NaN where unknown
    # [d h w c] float32 each, a channel a modality; a missing modality is 0 everywhere
    volumes: Sequence[np.ndarray]
    # age, sex, ...: [n] float32 each; NaN where unknown
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    holder: int = 0  # the process that reads the volumes, where several share the work

    def __len__(self) -> int:
        return len(self.ids)


class Volumes(Sequence[np.ndarray]):
    """Prepared volumes on disk, a file for each modality (None: missing), read when asked for.

    A file that is missing or damaged is made anew, also while a network trains.

    Args:
      paths: of the files of every scan.
      shape: of a volume.
      makers: file -> how it is made anew; it must give the same file.
      digests: what tells the image of a scan from others; empty: the prepared volume does.
    """

    def __init__(
        self,
        paths: Sequence[Sequence[Path | None]],
        shape: tuple[int, int, int],
        makers: Mapping[Path, Callable[[], Path]] | None = None,
        digests: Sequence[bytes] = (),
    ):
        self.paths, self.shape, self.makers = tuple(paths), shape, dict(makers or {})
        self.digests = tuple(digests)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):
        channels = [
            np.zeros(self.shape, np.float32) if path is None else self._read(path)
            for path in self.paths[index]
        ]
        return np.stack(channels, axis=-1)

    def _read(self, path: Path) -> np.ndarray:
        try:
            return read_prepared(path, self.shape)
        except DamagedError as error:
            damage = f"{path}: the prepared volume {error}"
        if path not in self.makers:
            raise ValueError(f"{damage}. Run the same command again: it is made anew.")
        try:
            path.unlink(missing_ok=True)
            made = self.makers[path]()
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{damage}, and cannot be made anew: {error} Then run the same command again."
            ) from None
        if made != path:
            raise ValueError(f"{damage}, and its scan has changed. Run the same command again.")
        return read_prepared(path, self.shape)


class Elsewhere(Sequence[np.ndarray]):
    """Volumes that another process holds: their shape, and NaN in every voxel, so that nothing that
    is computed from them by mistake passes for a result.

    Args:
      shape: of a volume, [d h w c].
      checksums: of the first modality of every scan.
    """

    def __init__(self, shape: tuple[int, ...], checksums: Sequence[bytes]):
        self.shape, self.checksums = shape, checksums

    def __len__(self) -> int:
        return len(self.checksums)

    def __getitem__(self, index):
        del index  # all are the same
        return np.broadcast_to(np.float32(np.nan), self.shape)


class _View(Sequence[np.ndarray]):
    """Volumes of other sequences, nothing copied."""

    def __init__(self, places: Sequence[tuple[Sequence[np.ndarray], int]]):
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index):
        volumes, i = self.places[index]
        return volumes[i]


def take(scans: Scans, index: Sequence[int]) -> Scans:
    """The scans at `index`, in that order."""
    rows = np.asarray(index, int)
    return Scans(
        tuple(scans.ids[i] for i in index),
        tuple(scans.subjects[i] for i in index),
        scans.target[rows],
        _View([(scans.volumes, i) for i in index]),
        {name: values[rows] for name, values in scans.columns.items()},
        scans.holder,
    )


def concatenate(parts: Sequence[Scans]) -> Scans:
    """All scans of several sets, in their order; a column is NaN in a set that does not have it."""

    def column(name: str) -> np.ndarray:
        return np.concatenate(
            [p.columns.get(name, np.full(len(p), np.nan, np.float32)) for p in parts]
        )

    names = dict.fromkeys(name for p in parts for name in p.columns)
    return Scans(
        tuple(i for p in parts for i in p.ids),
        tuple(s for p in parts for s in p.subjects),
        np.concatenate([p.target for p in parts]).astype(np.float32),
        _View([(p.volumes, i) for p in parts for i in range(len(p))]),
        {name: column(name) for name in names},
        parts[0].holder if len({p.holder for p in parts}) == 1 else 0,
    )


def shape_of(parts: Sequence[Scans]) -> tuple[int, int, int, int]:
    """The common shape of all volumes: three axes and the modalities.

    Raises:
      ValueError: when a set is empty or shapes differ.
    """
    if any(len(p) == 0 for p in parts):
        raise ValueError(
            "Expected at least one usable scan with a label at every site, got none at one. "
            "See the data report."
        )
    shapes = {tuple(p.volumes[0].shape) for p in parts}
    if len(shapes) > 1:
        raise ValueError(f"Expected volumes of one shape, got {sorted(shapes)}.")
    d, h, w, c = shapes.pop()
    return d, h, w, c


def volumes_fingerprint(scans: Scans) -> str:
    """A digest that changes when a voxel of a prepared volume changes. Reads every volume."""
    checks = [zlib.crc32(np.ascontiguousarray(volume).data) for volume in scans.volumes]
    return hashlib.sha256(repr(checks).encode()).hexdigest()[:16]


def data_fingerprint(scans: Scans) -> str:
    """A digest that changes when a scan is added or removed, or a label or column changes."""
    columns = [scans.target, *(scans.columns[name] for name in sorted(scans.columns))]
    rows = zip(scans.ids, *columns)
    lines = sorted("\t".join([i, *(f"{v:.6g}" for v in values)]) for i, *values in rows)
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]


class Preparation(NamedTuple):
    """How an experiment wants the scans of every site prepared."""

    recipe: Recipe
    cache: Path  # folder of prepared volumes
    modalities: tuple[str, ...] = ("T1w",)  # suffixes; only the first one must be there
    # None: all scans are prepared at once, into the cache. A folder: a scan is prepared when its
    # voxels are read, and into that folder if the cache does not have it
    scratch: Path | None = None
    classes: tuple[str, ...] = ()  # names of the label's classes; empty: the label is a number


SiteLoader = Callable[
    [str, Preparation], tuple[Scans, Report]
]  # its first argument: the site's name
