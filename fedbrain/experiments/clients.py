"""Loads the scans of every site and forms the clients of an experiment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.data.dataset import Preparation, Scans, data_fingerprint, shape_of
from fedbrain.data.overlap import note_same_scans, require_scans
from fedbrain.data.scan_report import Report
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.site_shares import assign_holders, read_sites


def preparation_of(experiment: Experiment, scratch: Path | None = None) -> Preparation:
    """How the experiment wants scans prepared, and where prepared volumes are kept.

    Args:
      experiment: gives the recipe, the cache and the modalities.
      scratch: see `Preparation`.
    """
    cache = Path(experiment.cache).expanduser()
    return Preparation(experiment.recipe, cache, experiment.modalities, scratch, experiment.classes)


def load_clients(experiment: Experiment) -> tuple[dict[str, Scans], list[Report]]:
    """Reads and prepares every site and cuts them into clients.

    Args:
      experiment: gives sites, norms and the partition.

    Returns:
      (client -> scans, one report per site).

    Raises:
      ValueError: naming the site, for data that cannot be read, or the field.
    """
    sites, reports = load_sites(experiment)
    return assign_holders(experiment.partition(sites)), list(reports.values())


def load_sites(
    experiment: Experiment, scratch: Path | None = None
) -> tuple[dict[str, Scans], dict[str, Report]]:
    """Reads every site.

    Args:
      experiment: gives sites and norms.
      scratch: a folder: scans are prepared there, and only when they are read (see `Preparation`).

    Returns:
      (site -> scans, site -> report).

    Raises:
      ValueError: naming every site whose data cannot be used, or the field.
    """
    preparation = preparation_of(experiment, scratch)
    unknown = sorted(set(experiment.norms) - set(experiment.sites))
    if unknown:
        raise ValueError(
            f"config.norms: expected names of sites, {', '.join(experiment.sites)}, got"
            f" {unknown[0]!r}."
        )
    sites = read_sites(experiment, preparation)
    loaded = {name: scans for name, (scans, _) in sites.items()}
    reports = {name: report for name, (_, report) in sites.items()}
    note_same_scans(loaded, reports)
    for name, norm in experiment.norms.items():
        loaded[name] = norm(loaded[name], reports[name])
    for name, scans in loaded.items():
        require_scans(name, scans, reports[name])
    return loaded, reports


def fingerprints(clients: Mapping[str, Scans]) -> dict[str, Any]:
    """What identifies the data: a digest of ids and labels per client, and the shape of the
    volumes.

    Args:
      clients: name -> scans.
    """
    shape = list(shape_of(list(clients.values())))
    return {"shape": shape, "clients": {n: data_fingerprint(s) for n, s in clients.items()}}
