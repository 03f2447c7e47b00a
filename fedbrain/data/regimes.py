"""Federated, centralised and local training are partitions of the data, not branches of the code.

Each regime is a list of federations. A centralised federation has one member that holds everybody's
training data; a local one has one member that is alone. Every site's test set is the same in all of
them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fedbrain.data.dataset import Scans, concatenate
from fedbrain.data.splits import Split


class Member(NamedTuple):
    """A client of a federation."""

    train: Scans
    valid: Scans


class Federation(NamedTuple):
    """Who trains together, and whose model is judged on which site."""

    name: str
    members: dict[str, Member]
    judged: dict[str, str]  # site -> the member whose model predicts for it


Regime = Callable[[Mapping[str, Split]], list[Federation]]


def federated(splits: Mapping[str, Split]) -> list[Federation]:
    """One federation of all clients."""
    members = {name: Member(s.train, s.valid) for name, s in splits.items()}
    return [Federation("federated", members, {name: name for name in splits})]


def centralised(splits: Mapping[str, Split]) -> list[Federation]:
    """One client that holds all training data: what sharing would give."""
    pooled = Member(
        concatenate([s.train for s in splits.values()]),
        concatenate([s.valid for s in splits.values()]),
    )
    return [Federation("centralised", {"all": pooled}, dict.fromkeys(splits, "all"))]


def local(splits: Mapping[str, Split]) -> list[Federation]:
    """Every client alone."""
    return [
        Federation(f"local-{n}", {n: Member(s.train, s.valid)}, {n: n}) for n, s in splits.items()
    ]


REGIMES: dict[str, Regime] = {"federated": federated, "centralised": centralised, "local": local}
