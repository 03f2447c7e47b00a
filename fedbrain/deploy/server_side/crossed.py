"""Crossed tests at the server: it collects the models that sites trained alone and has each tested
by the others. A model is in memory until then, and not on the server's disk.
"""

import math
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from fedbrain.deploy.protocol.answers import read_report
from fedbrain.deploy.protocol.beside import write_beside
from fedbrain.deploy.protocol.crossed import write_try
from fedbrain.deploy.protocol.runnable import ALONE
from fedbrain.deploy.server_side.exchange import Asked, Side, ask

Rows = Mapping[str, Mapping[str, Any]]  # site -> row


class Crossed(NamedTuple):
    """What sites tell of each other's models."""

    rows: dict[str, dict[str, Any]]  # model -> site -> accuracy on its test scans
    untold: dict[str, str]  # "model on site" -> why there is no row


def collect_crossed(side: Side, alone: Rows) -> Crossed:
    """Asks every site for its model, and the others to test it, if the job says so.

    Args:
      side: the server's.
      alone: what sites told of their own models on their own test people.
    """
    crossed = Crossed({}, {})
    if not side.agreement.crossed:
        return crossed
    terms, nonce = side.agreement.terms, secrets.token_hex(16)
    question = Asked("lent", 0, nonce, write_beside(terms, "lend", 0, nonce=nonce))
    lent = ask(side, side.sites, question)
    crossed.untold.update({f"{ALONE}-{name}": why for name, why in lent.left_out.items()})
    sites = sorted(side.sites)
    for number, lender in enumerate(sites):
        if lender not in lent.admitted:
            continue
        model, nonce = f"{ALONE}-{lender}", secrets.token_hex(16)
        message = write_try(terms, lent.admitted[lender].vectors, number, nonce=nonce)
        others = [name for name in sites if name != lender]
        tried = ask(side, others, Asked("tried", number, nonce, message))
        told = {name: read_report(tried.admitted[name]) for name in tried.admitted}
        told |= {lender: alone[lender]} if lender in alone else {}
        crossed.rows[model] = {name: told.get(name, {"mae": math.nan}) for name in sites}
        crossed.untold.update({f"{model} on {n}": why for n, why in tried.left_out.items()})
    return crossed
