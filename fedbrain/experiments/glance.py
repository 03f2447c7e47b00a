"""A few scans of every site, prepared to be looked at, without touching the cache."""

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.dataset import Scans, Volumes, take
from fedbrain.data.nifti_file import ImageError
from fedbrain.data.prepared_file import read_notes
from fedbrain.data.scan_report import Report

SCANS = 4  # of a site
BUDGET_S = 8.0  # later, no further scan is begun


class Glance(NamedTuple):
    """One scan."""

    site: str
    scan: str  # its id
    volume: Float[np.ndarray, "d h w"]  # of the first modality


def glance(
    sites: Mapping[str, Scans], reports: Mapping[str, Report]
) -> tuple[list[Glance], dict[str, Scans]]:
    """Prepares some scans of each site, spread over its list.

    Args:
      sites: name -> scans, prepared on demand.
      reports: site -> report; gets what is noted of these scans, and those that cannot be used.

    Returns:
      (what was seen, the sites without scans that cannot be used).
    """
    end = time.monotonic() + BUDGET_S
    wanted = [(name, int(i)) for k in range(SCANS) for name, i in _places(sites, k)]

    def look(place: tuple[str, int]) -> tuple[Glance, dict[str, str] | None] | ImageError | None:
        (name, i), scans = place, sites[place[0]]
        if time.monotonic() > end:
            return None
        notes: dict[str, str] | None = None  # of a volume of the cache they are known already
        try:
            volumes = scans.volumes
            path = volumes.paths[i][0] if isinstance(volumes, Volumes) else None
            if isinstance(volumes, Volumes) and path is not None and path in volumes.makers:
                volumes.makers[path]()
                notes = read_notes(path, volumes.shape)
            return Glance(name, scans.ids[i], volumes[i][..., 0]), notes
        except ImageError as error:
            return error
        except ValueError:  # a volume of the cache is damaged: a run makes it anew
            return None

    seen: list[Glance] = []
    unusable: dict[str, set[int]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (name, i), outcome in zip(wanted, pool.map(look, wanted)):
            if isinstance(outcome, ImageError):
                reports[name].leave_out("unusable image", str(outcome))
                reports[name].kept -= 1
                unusable.setdefault(name, set()).add(i)
            elif outcome is not None:
                seen.append(outcome[0])
                if outcome[1] is not None:
                    reports[name].look(outcome[1])
    left = {n: [i for i in range(len(sites[n])) if i not in lost] for n, lost in unusable.items()}
    return seen, {**sites, **{name: take(sites[name], kept) for name, kept in left.items()}}


def _places(sites: Mapping[str, Scans], k: int) -> list[tuple[str, int]]:
    """The k-th scan of each site that has so many."""
    rows = {name: np.unique(np.linspace(0, len(s) - 1, SCANS).round()) for name, s in sites.items()}
    return [(name, int(indices[k])) for name, indices in rows.items() if k < len(indices)]
