"""Which images of a tree are used: one for each session, of the subjects and sessions that the user
wants.
"""

import difflib
import re
from collections.abc import Iterable

from fedbrain.data.bids import Scan


def one_per_session(scans: list[Scan]) -> tuple[list[Scan], list[Scan]]:
    """(chosen, others): of several images of a session the native one, then the one with the fewest
    entities, then the first by name, where numbers are compared as numbers.

    So an image without contrast agent wins over one with (`ce-`), a magnitude image over a phase
    image, a plain `sub-01_T1w` over `sub-01_run-1_T1w`, run 2 over run 10, and a reconstruction
    (`rec-`) loses.
    """
    best: dict[str, Scan] = {}
    for scan in sorted(scans, key=_rank):
        best.setdefault(scan.id, scan)
    chosen = set(best.values())
    return [s for s in scans if s in chosen], [s for s in scans if s not in chosen]


def _rank(scan: Scan) -> tuple:
    entities = dict(scan.entities)
    changed = "ce" in entities, entities.get("part", "mag") != "mag"
    parts = re.split(r"(\d+)", scan.path.name)
    return (*changed, len(entities), [(int(p), "") if p.isdigit() else (0, p) for p in parts])


def select(
    scans: list[Scan],
    include: str | Iterable[str],
    exclude: str | Iterable[str],
    closed: Iterable[str] = (),
) -> tuple[list[Scan], dict[Scan, str]]:
    """(selected, left out -> why).

    Args:
      scans: of a tree.
      include: names of subjects (`sub-01` or `01`), sessions (`ses-1`) or both (`sub-01_ses-1`);
        empty: everything.
      exclude: likewise; wins over `include`.
      closed: subjects whose folders cannot be opened; they may be named too.

    Raises:
      ValueError: for a name that matches no image, with the nearest names.
    """
    known = {name for scan in scans for name in _names_of(scan)} | set(closed)
    wanted, unwanted = _names(known, "include", include), _names(known, "exclude", exclude)
    left_out = {}
    for scan in scans:
        names = _names_of(scan)
        if names & unwanted:
            left_out[scan] = "named in exclude="
        elif wanted and not names & wanted:
            left_out[scan] = "not named in include="
    return [scan for scan in scans if scan not in left_out], left_out


def _names_of(scan: Scan) -> set[str]:
    return {scan.subject, scan.id, scan.session} - {""}


def _names(known: set[str], argument: str, names: str | Iterable[str]) -> set[str]:
    wanted = set()
    for name in map(str, [names] if isinstance(names, str) and names else names):
        full = name if name in known else f"sub-{name}"
        if full not in known:
            near = difflib.get_close_matches(name, sorted(known), 3) or sorted(known)[:3]
            raise ValueError(
                f"{argument}: expected subjects or sessions that have an image, got {name!r}. The"
                f" nearest are {', '.join(near)}."
            )
        wanted.add(full)
    return wanted
