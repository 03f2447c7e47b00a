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

EXTENSIONS = (".nii.gz", ".nii")


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


def parse_name(name: str) -> tuple[dict[str, str], str, str]:
    """(entities, suffix, extension) of a BIDS file name.

    >>> parse_name("sub-01_ses-2_run-1_T1w.nii.gz")
    ({'sub': '01', 'ses': '2', 'run': '1'}, 'T1w', '.nii.gz')
    """
    stem, dot, extension = name.partition(".")
    *pairs, suffix = stem.split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return entities, suffix, dot + extension


def _folders(root: Path, prefix: str) -> Iterator[Path]:
    with os.scandir(root) as entries:
        names = sorted(e.name for e in entries if e.name.startswith(prefix) and e.is_dir())
    return (root / name for name in names)


def find_scans(
    root: Path, pattern: str = "T1w", *, pipeline: str = "", datatype: str = "anat"
) -> list[Scan]:
    """All images of a kind, sorted by path.

    Args:
      root: of the data set.
      pattern: a suffix, or entities and a suffix that a file must have:
        `space-MNI152NLin2009cAsym_desc-preproc_T1w`.
      pipeline: read from `derivatives/<pipeline>` instead of the raw tree.
      datatype: folder of the subject or session.

    Raises:
      ValueError: when the folder is missing or holds no subject.
    """
    folder = root / "derivatives" / pipeline if pipeline else root
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a BIDS folder, got nothing there.")
    wanted, suffix, _ = parse_name(pattern)
    subjects = list(_folders(folder, "sub-"))
    if not subjects:
        raise ValueError(
            f"{folder}: expected folders named sub-<label>, got none. Is this the root of a BIDS"
            " tree?"
        )
    scans = []
    for subject in subjects:
        for level in [subject, *_folders(subject, "ses-")]:
            if not (level / datatype).is_dir():
                continue
            for name in sorted(os.listdir(level / datatype)):
                entities, found, extension = parse_name(name)
                if found != suffix or extension not in EXTENSIONS or "sub" not in entities:
                    continue
                if any(entities.get(key) != value for key, value in wanted.items()):
                    continue
                rest = tuple((k, v) for k, v in entities.items() if k not in ("sub", "ses"))
                session = f"ses-{entities['ses']}" if "ses" in entities else ""
                scans.append(Scan(level / datatype / name, f"sub-{entities['sub']}", session, rest))
    return scans


def is_synthetic(root: Path) -> bool:
    """Whether `dataset_description.json` says that `fedbrain.synthesise` made the images."""
    path = root / "dataset_description.json"
    return path.is_file() and "fedbrain.synthesise" in path.read_text(encoding="utf-8-sig")


def one_per_session(scans: list[Scan]) -> tuple[list[Scan], list[Scan]]:
    """(chosen, others): of several images of a session the one with the fewest entities, then the
    first by name.

    So a plain `sub-01_T1w` wins over `sub-01_run-1_T1w`, run 1 over run 2, and a reconstruction
    (`rec-`) loses.
    """
    best: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda s: (len(s.entities), s.path.name)):
        best.setdefault(scan.id, scan)
    chosen = set(best.values())
    return [s for s in scans if s in chosen], [s for s in scans if s not in chosen]


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
