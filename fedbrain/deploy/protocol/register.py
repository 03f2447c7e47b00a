"""The sites of a run, and what each declared when it first joined: `sites.json`, which does not
change until the end.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from fedbrain.experiments.workdir import write_json


class Registration(NamedTuple):
    """What a site declares when it joins. No answer of it may claim more scans."""

    train: int  # training scans
    valid: int  # validation scans
    test: int  # test scans
    synthetic: bool  # whether the images are of no real person


def recall(workdir: Path) -> dict[str, Registration]:
    """The sites of this run; empty before the first of them joined.

    Args:
      workdir: of the run.
    """
    path = workdir / "sites.json"
    sites = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: Registration(**site) for name, site in sites.items()}


def register(
    workdir: Path,
    joined: Mapping[str, Registration],
    *,
    expected: Iterable[str],
    refused: Mapping[str, str],
) -> dict[str, Registration]:
    """The sites of the run, present or not.

    Args:
      workdir: of the run.
      joined: sites that are here now.
      expected: names of the consortium.
      refused: site -> why it does not join.

    Raises:
      ValueError: when a site is missing at the first start (all weights are shares of a known
        whole), or declares other counts than before.
    """
    known = recall(workdir)
    if not known:
        missing = [
            f"{name}: {refused.get(name, 'not connected')}"
            for name in expected
            if name not in joined
        ]
        if missing:
            raise ValueError(
                "Expected every site of the consortium at the first start. Missing:"
                f" {'; '.join(missing)}"
            )
        known = dict(sorted(joined.items()))
        write_json(workdir / "sites.json", {name: site._asdict() for name, site in known.items()})
    for name, site in joined.items():
        if site != known[name]:
            raise ValueError(
                f"{name}: expected what it declared at the start, {known[name]}, got {site}."
            )
    return known
