"""Federated, centralised and local training are partitions of the data, not branches of the code.

Each regime is a list of federations. A centralised federation has one client that holds everybody's
training data; a local federation has one client, with its own; where a site is left out, all others
train. A site's test scans are the same in all of them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fedbrain.data.dataset import Scans, concatenate
from fedbrain.data.splits import Split


class ClientScans(NamedTuple):
    """The scans that a client trains and validates on."""

    train: Scans
    valid: Scans


class Federation(NamedTuple):
    """Clients that train together, and the model that each site is tested with."""

    name: str
    clients: dict[str, ClientScans]
    model_of_site: dict[str, str]  # site -> the client whose model predicts for its scans


Regime = Callable[[Mapping[str, Split]], list[Federation]]


def federated(splits: Mapping[str, Split]) -> list[Federation]:
    """One federation of all clients."""
    clients = {name: ClientScans(s.train, s.valid) for name, s in splits.items()}
    return [Federation("federated", clients, {name: name for name in splits})]


def centralised(splits: Mapping[str, Split]) -> list[Federation]:
    """One client that holds all training data: what sharing would give."""
    pooled = ClientScans(
        concatenate([s.train for s in splits.values()]),
        concatenate([s.valid for s in splits.values()]),
    )
    return [Federation("centralised", {"all": pooled}, dict.fromkeys(splits, "all"))]


def local(splits: Mapping[str, Split]) -> list[Federation]:
    """Every client alone."""
    return [
        Federation(f"local-{n}", {n: ClientScans(s.train, s.valid)}, {n: n})
        for n, s in splits.items()
    ]


LEFT_OUT = "without-"  # and a site: the federation of all others


def leave_one_site_out(splits: Mapping[str, Split]) -> list[Federation]:
    """For every site the federation of all others, whose model has met nobody of that site."""
    clients = {name: ClientScans(s.train, s.valid) for name, s in splits.items()}
    others = {site: {n: c for n, c in clients.items() if n != site} for site in splits}
    return [
        Federation(f"{LEFT_OUT}{site}", of_others, {site: min(of_others)})
        for site, of_others in others.items()
    ]


REGIMES: dict[str, Regime] = {
    "federated": federated,
    "centralised": centralised,
    "local": local,
    "leave_one_site_out": leave_one_site_out,
}
