"""Finds scans in a BIDS tree: entities, sessions, derivatives, inheritance of JSON. No index, no
dependency.

References:
  BIDS 1.10, https://bids-specification.readthedocs.io
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

EXTENSIONS = (".nii.gz", ".nii")  # in small or capital letters
# Images that are counted and not read; a .hdr belongs to an .img.
UNREAD = (".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip", ".img.gz", ".img", ".hdr", ".mgz", ".mgh")
UNREAD += (".nrrd", ".nhdr", ".mha", ".mhd", ".mnc", ".mnc.gz", ".dcm", ".ima", ".v")


class Scan(NamedTuple):
    """One image file of a BIDS tree."""

    path: Path
    subject: str  # with prefix: sub-012
    session: str  # with prefix: ses-1; empty without sessions
    entities: tuple[tuple[str, str], ...]  # in file order, without sub and ses

    @property
    def id(self) -> str:
        """`sub-012` or `sub-012_ses-1`."""
        return f"{self.subject}_{self.session}" if self.session else self.subject


class Listing(NamedTuple):
    """What a tree holds of one kind of image."""

    scans: list[Scan]  # sorted by path
    unread: list[Scan]  # in a format that is not read
    closed: dict[Path, str]  # folders that cannot be opened -> why


def parse_name(name: str) -> tuple[dict[str, str], str, str]:
    """(entities, suffix, extension) of a BIDS file name.

    >>> parse_name("sub-01_ses-2_run-1_T1w.nii.gz")
    ({'sub': '01', 'ses': '2', 'run': '1'}, 'T1w', '.nii.gz')
    """
    *pairs, last = name.split("_")
    suffix, dot, extension = last.partition(".")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return entities, suffix, dot + extension


def list_images(
    root: Path, pattern: str = "T1w", *, pipeline: str = "", datatype: str = "anat"
) -> Listing:
    """All images of a kind, and what cannot be read.

    Args:
      root: of the data set.
      pattern: a suffix, or entities and a suffix that a file must have:
        `space-MNI152NLin2009cAsym_desc-preproc_T1w`.
      pipeline: read from `derivatives/<pipeline>` instead of the raw tree.
      datatype: folder of the subject or session.

    Raises:
      ValueError: when the folder is missing, cannot be opened or holds no subject.
    """
    folder = root / "derivatives" / pipeline if pipeline else root
    if not os.path.isdir(folder):
        got = "a file" if os.path.isfile(folder) else "nothing there"
        raise ValueError(f"{folder}: expected a BIDS folder, got {got}.")
    wanted, suffix, _ = parse_name(pattern)
    listing = Listing([], [], {})
    subjects = list(_folders(folder, "sub-", listing.closed))
    if folder in listing.closed:
        raise ValueError(f"{folder}: the folder cannot be opened: {listing.closed[folder]}.")
    if not subjects:
        raise ValueError(
            f"{folder}: expected folders named sub-<label>, got none. Is this the root of a BIDS"
            " tree?"
        )
    for subject in subjects:
        levels = [subject, *_folders(subject, "ses-", listing.closed)]
        for level in [] if subject in listing.closed else levels:
            for name in _names(level / datatype, listing.closed):
                entities, found, extension = parse_name(name)
                if found != suffix or "sub" not in entities or wanted.items() - entities.items():
                    continue
                rest = tuple((k, v) for k, v in entities.items() if k not in ("sub", "ses"))
                session = f"ses-{entities['ses']}" if "ses" in entities else ""
                scan = Scan(level / datatype / name, f"sub-{entities['sub']}", session, rest)
                if extension.lower() in EXTENSIONS:
                    listing.scans.append(scan)
                elif extension.lower() in UNREAD:
                    listing.unread.append(scan)
    pairs = {s.path.with_suffix("").name for s in listing.unread if ".img" in s.path.name.lower()}
    unread = [
        scan
        for scan in listing.unread
        if scan.path.suffix.lower() != ".hdr" or scan.path.with_suffix("").name not in pairs
    ]
    return listing._replace(unread=unread)


def suffixes(root: Path, *, pipeline: str = "", datatype: str = "anat") -> list[str]:
    """What images of a tree are called behind their entities: T1w, FLAIR, ...

    Args:
      root: of the data set.
      pipeline: folder in `derivatives/`; empty: the raw images.
      datatype: folder of the images.
    """
    folder = root / "derivatives" / pipeline if pipeline else root
    patterns = (f"sub-*/{datatype}/*.nii*", f"sub-*/ses-*/{datatype}/*.nii*")
    return sorted({parse_name(p.name)[1] for one in patterns for p in folder.glob(one)})


def find_scans(
    root: Path, pattern: str = "T1w", *, pipeline: str = "", datatype: str = "anat"
) -> list[Scan]:
    """The images of a kind that can be read, sorted by path; see `list_images`."""
    return list_images(root, pattern, pipeline=pipeline, datatype=datatype).scans


def _names(folder: Path, closed: dict[Path, str]) -> list[str]:
    """Visible names in a folder, sorted; none when it is missing or cannot be opened."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        closed[folder] = "no permission" if isinstance(error, PermissionError) else str(error)
        return []


def _folders(root: Path, prefix: str, closed: dict[Path, str]) -> Iterator[Path]:
    for name in _names(root, closed):
        if name.startswith(prefix) and os.path.isdir(root / name):
            yield root / name


def is_synthetic(root: Path) -> bool:
    """Whether `dataset_description.json` says that `fedbrain.synthesise` made the images."""
    path = root / "dataset_description.json"
    try:
        return path.is_file() and b"fedbrain.synthesise" in path.read_bytes()
    except OSError:
        return False


def sidecar(scan: Scan, root: Path) -> dict[str, Any]:
    """JSON metadata of an image by the inheritance principle: from the root down, the nearest file
    wins.
    """
    entities, suffix, _ = parse_name(scan.path.name)
    have = set(entities.items())
    merged: dict[str, Any] = {}
    for folder in [root, *sorted(p for p in scan.path.parents if root in p.parents)]:
        applicable = []
        for path in folder.glob(f"*{suffix}.json"):
            fields, found, _ = parse_name(path.name)
            if found == suffix and set(fields.items()) <= have:
                applicable.append((len(fields), path))
        for _, path in sorted(applicable):
            try:
                merged.update(json.loads(path.read_text(encoding="utf-8-sig")))
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{path}: expected JSON, got an error at line {error.lineno}: {error.msg}."
                ) from None
    return merged
