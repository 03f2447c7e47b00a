"""Sites read by several processes: each reads its own clients' scans and tells the others about
them, without the voxels.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fedbrain.data.dataset import Elsewhere, Preparation, Scans, SiteLoader
from fedbrain.data.overlap import checksums, require_scans
from fedbrain.data.partition import by_site
from fedbrain.data.regimes import centralised
from fedbrain.data.scan_report import Report
from fedbrain.experiments.config import Experiment
from fedbrain.processes import peers

Loaded = dict[str, tuple[Scans, Report]]  # of each site


def holders(names: Mapping[str, Any]) -> dict[str, int]:
    """Which process holds each client's scans: they take turns, in the order of names.

    Args:
      names: of the clients.
    """
    return {name: i % peers.count() for i, name in enumerate(sorted(names))}


def describe_site(scans: Scans, report: Report) -> dict[str, Any]:
    """All about a site's scans but the voxels, in JSON's types.

    Args:
      scans: of the site.
      report: on them.
    """
    return {
        "ids": scans.ids,
        "subjects": scans.subjects,
        "target": scans.target.tolist(),
        "columns": {name: values.tolist() for name, values in scans.columns.items()},
        "shape": scans.volumes[0].shape if len(scans) else (0, 0, 0, 0),
        "checksums": [check.hex() for check in checksums(scans)],
        "report": report.as_dict(),
    }


def described_site(told: Mapping[str, Any]) -> tuple[Scans, Report]:
    """The scans and the report that another process describes.

    Args:
      told: from `describe_site`.
    """
    checks = [bytes.fromhex(check) for check in told["checksums"]]
    scans = Scans(
        tuple(told["ids"]),
        tuple(told["subjects"]),
        np.asarray(told["target"], np.float32),
        Elsewhere(tuple(told["shape"]), checks),
        {name: np.asarray(values, np.float32) for name, values in told["columns"].items()},
    )
    return scans, Report(**told["report"])


def load_all(sites: Mapping[str, SiteLoader], preparation: Preparation) -> Loaded:
    """Loads sites; after one that cannot be used, the others are looked at and not prepared, so
    that everything that is wrong is told at once, and soon.

    Args:
      sites: name -> how its scans are loaded.
      preparation: of the scans.

    Raises:
      ValueError: naming every site that cannot be used, with its reason.
    """
    loaded: Loaded = {}
    problems = []
    for name, site in sites.items():
        try:
            loaded[name] = site(name, preparation)
            require_scans(name, *loaded[name])
        except ValueError as error:
            problems.append(str(error))
            looking = preparation.scratch or preparation.cache / "not-prepared"  # never made
            preparation = preparation._replace(scratch=looking)
    if problems:
        raise ValueError(" ".join(problems))
    return loaded


def read_sites(experiment: Experiment, preparation: Preparation) -> Loaded:
    """Scans and report of every site.

    A process reads the sites of its own clients. It reads the others too where a client of its own
    holds scans of several sites: in the centralised regime, whose one client is process 0's, and
    where a partition mixes sites; their prepared volumes are then in the cache.

    Args:
      experiment: gives sites, partition and regimes.
      preparation: of the scans.

    Raises:
      ValueError: naming every site whose data cannot be used.
    """
    holder = holders(experiment.sites)
    mine = {name: s for name, s in experiment.sites.items() if holder[name] == peers.index()}
    own = load_all(mine, preparation)
    if peers.count() == 1:
        return own
    told = peers.exchange({name: describe_site(*loaded) for name, loaded in own.items()})
    loaded = {name: described_site(told[holder[name]][name]) for name in experiment.sites}
    pooled = peers.index() == 0 and centralised in experiment.regimes.values()
    mixed = experiment.partition is not by_site()
    for name, site in experiment.sites.items():
        report = loaded[name][1]
        if name in own:
            loaded[name] = own[name][0], report
        elif pooled or mixed:
            loaded[name] = site(name, preparation)[0], report
    return loaded


def assign_holders(clients: Mapping[str, Scans]) -> dict[str, Scans]:
    """The clients, each with the process that holds its scans.

    Args:
      clients: name -> scans.
    """
    holder = holders(clients)
    return {name: replace(scans, holder=holder[name]) for name, scans in clients.items()}


def describe_processes(clients: Mapping[str, Scans]) -> str:
    """Which process works for whom; empty when there is one process.

    Args:
      clients: name -> scans, with their holders.
    """
    if peers.count() == 1:
        return ""
    own = {p: [n for n in sorted(clients) if clients[n].holder == p] for p in range(peers.count())}
    parts = [f"{p}: {', '.join(names) or 'nobody'}" for p, names in own.items()]
    return f"{peers.count()} processes. {'; '.join(parts)}."
