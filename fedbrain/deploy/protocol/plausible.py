"""What the numbers of an answer can be at all: sums of losses, counts of a round, variances. One
site's answer out of these ranges would decide for all.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from fedbrain.analysis.site_sums import NAMES
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import Message, Refused, unflatten

HIGHEST_LOSS = 1e6  # of one scan, in the unit of the loss; arbitrary
HIGHEST_VARIANCE = 1e6  # of a feature of z-scored images; arbitrary
TESTED = ("reported", "alone", "fitted", "tried")  # kinds of answers about test scans
# and of those that come in their place until the last of several splits, whose answers are of all
KEPT = {"reported": "kept", "alone": "kept_lone", "fitted": "kept_fit"}
HIGHEST_SUM = 1e18  # of squares over test people; arbitrary
HEADER = 1 << 16  # bytes of an answer beside its numbers

Bounds = Mapping[str, tuple[float, float]]


def scalar_bounds(kind: str, site: Registration, *, batch_size: int, epochs: int) -> Bounds:
    """Scalar of an answer -> (smallest, largest), from what the site declared when it joined.

    Args:
      kind: of the answer.
      site: what it declared.
      batch_size: of the experiment.
      epochs: of the experiment.
    """
    loss = (0.0, HIGHEST_LOSS)
    if kind == "validated":
        return {"loss": (0.0, HIGHEST_LOSS * site.valid)}
    if kind in TESTED:
        errors = ("mae", "mae_se", "mae_high", "rmse", "floor_mae")
        shares = dict.fromkeys(("r", "r_low", "r_high"), (-1.0, 1.0))
        shares |= {"p": (0.0, 1.0), "r2": (-1e12, 1.0), "mae_low": (-HIGHEST_LOSS, HIGHEST_LOSS)}
        shares |= {"epsilon": (0.0, 1e9), "delta_dp": (0.0, 1.0)}
        sums = {name: (-HIGHEST_SUM, HIGHEST_SUM) for name in NAMES}
        shares |= {**sums, "valid_n": (0.0, float(site.valid))}
        return {**dict.fromkeys(errors, loss), **shares, "subjects": (1.0, float(site.test))}
    seen = site.train * epochs
    return {
        "loss": (0.0, HIGHEST_LOSS * seen),
        "count": (0.0, float(seen)),
        "examples": (0.0, float(site.train)),
        "steps": (1.0, float(math.ceil(seen / batch_size))),
        "global_loss": loss,
    }


def numbers_of(outline: Mapping[str, Any]) -> dict[str, int]:
    """Collection -> how many numbers it has.

    Args:
      outline: collection -> outlines of its arrays.
    """
    return {name: sum(leaf.size for leaf in jax.tree.leaves(x)) for name, x in outline.items()}


def require_variances(terms: Terms, message: Message) -> None:
    """Raises Refused when a variance of batch statistics is not one, or larger than any.

    Args:
      terms: of the experiment.
      message: an update whose lengths are right.
    """
    trees = unflatten(message.vectors, terms.answer)["model_state"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(trees):
        name = jax.tree_util.keystr(path)
        if not name.endswith("['var']") or not np.size(leaf):
            continue
        low, high = float(np.min(leaf)), float(np.max(leaf))
        if not 0 < low <= high <= HIGHEST_VARIANCE:
            raise Refused(
                f"model_state{name}: expected variances above 0 and up to {HIGHEST_VARIANCE:g}, got"
                f" {low:g} to {high:g}"
            )
