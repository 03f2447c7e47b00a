"""Messages from a site to the server: an update, the loss on its validation scans, the accuracy on
its test scans.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np

from fedbrain.analysis.site_sums import NAMES as SUM_NAMES
from fedbrain.analysis.site_sums import SUMS
from fedbrain.deploy.protocol.beside import NUMBERS
from fedbrain.deploy.protocol.crossed import model_outline
from fedbrain.deploy.protocol.masked import KEY, KEYS, MASKED
from fedbrain.deploy.protocol.plausible import KEPT, TESTED, require_variances
from fedbrain.deploy.protocol.terms import Terms, answer_collections
from fedbrain.deploy.protocol.voxels import ANSWERS as VOXELS
from fedbrain.deploy.protocol.wire import (
    Envelope,
    Message,
    Refused,
    flatten,
    pack,
    schema,
    unflatten,
)
from fedbrain.types import Update

# metrics of test scans that are always sent
TEST_METRICS = ("n", "subjects", "mae", "rmse", "floor_mae")
# sent where they are defined: with enough people, and predictions that differ from each other
OPTIONAL = ("mae_se", "mae_low", "mae_high", "r2", "r", "r_low", "r_high", "p")
WHOLE_NUMBERS = {KEY: (KEYS, "uint8"), MASKED: (MASKED, "uint64")}  # of secure aggregation
PRIVACY = ("epsilon", "delta_dp")  # sent under differential privacy: of the whole experiment
ENDS = ("low", "high")  # of a 95 % interval


def write_update(terms: Terms, asked: Envelope, sender: str, update: Update) -> bytes:
    """Writes a site's update.

    Args:
      terms: of the experiment.
      asked: envelope of the order to train.
      sender: the site's name.
      update: of a cohort of one: the leading axis has length 1.

    Raises:
      Refused: when a number is not finite: nothing is sent then.
    """
    own = jax.tree.map(lambda x: np.asarray(x)[0], update)
    scalars = {
        "weight": float(own.weight),
        **{name: float(own.metrics[name]) for name in terms.metrics},
    }
    vectors = flatten(answer_collections(own))
    for name, value in [
        *scalars.items(),
        *((n, float(np.abs(v).max(initial=0))) for n, v in vectors.items()),
    ]:
        if not math.isfinite(value):
            raise Refused(
                f"{name}: training gave {value}, so nothing is sent. Lower the learning rate."
            )
    return pack(
        Envelope(
            "update", sender, asked.round, asked.nonce, terms.config, schema(terms.answer), scalars
        ),
        vectors,
    )


def write_validation(
    terms: Terms, asked: Envelope, sender: str, *, loss: float, count: int
) -> bytes:
    """Writes a site's sum of validation losses.

    Args:
      terms: of the experiment.
      asked: envelope of the server's question.
      sender: the site's name.
      loss: sum over validation scans.
      count: number of validation scans.
    """
    scalars = {"loss": loss, "count": float(count)}
    return pack(
        Envelope("validated", sender, asked.round, asked.nonce, terms.config, schema({}), scalars),
        {},
    )


def write_report(
    terms: Terms, asked: Envelope, sender: str, accuracy: Mapping[str, Any], kind: str = "reported"
) -> bytes:
    """Writes the accuracy on a site's test scans: one row of a table, no prediction.

    Args:
      terms: of the experiment.
      asked: envelope of the server's question.
      sender: the site's name.
      kind: "reported"; "alone": of the model that the site trained alone; "fitted": of a linear
        regression.
      accuracy: see `fedbrain.analysis.statistics.accuracy`.
    """
    ends = {f"{m}_{end}": x for m in ("mae", "r") for end, x in zip(ENDS, accuracy[f"{m}_95"])}
    metrics = {**accuracy, **ends}
    scalars = {
        name: float(metrics[name])
        for name in (*TEST_METRICS, *OPTIONAL, *PRIVACY, *SUM_NAMES)
        if math.isfinite(metrics.get(name, math.nan))
    }
    scalars |= metrics.get("groups", {})
    return pack(
        Envelope(kind, sender, asked.round, asked.nonce, terms.config, schema({}), scalars),
        {},
    )


def write_kept(terms: Terms, asked: Envelope, sender: str, kind: str) -> bytes:
    """Writes that a site keeps the model of a split, and tells of it with the last one.

    Args:
      terms: of the split.
      asked: envelope of the server's question.
      sender: the site's name.
      kind: of the answer in whose place this one comes, see `KEPT`.
    """
    envelope = Envelope(KEPT[kind], sender, asked.round, asked.nonce, terms.config, schema({}), {})
    return pack(envelope, {})


def read_report(message: Message) -> dict[str, Any]:
    """The inverse of `write_report`; what is not defined is NaN.

    Args:
      message: from a site.
    """
    metrics = {
        name: message.envelope.scalars.get(name, math.nan) for name in (*TEST_METRICS, *OPTIONAL)
    }
    return {
        **metrics,
        "n": int(metrics["n"]),
        "subjects": int(metrics["subjects"]),
        **{f"{m}_95": [metrics[f"{m}_{end}"] for end in ENDS] for m in ("mae", "r")},
        **{name: value for name, value in message.envelope.scalars.items() if name in PRIVACY},
        **_sums(message.envelope.scalars),
    }


def _sums(scalars: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """`sums` of a row, where the site tells them all."""
    if not set(SUMS) <= set(scalars):
        return {}
    return {"sums": {name: scalars.get(name, math.nan) for name in SUM_NAMES}}


def require_answer(terms: Terms, message: Message, numbers: Collection[str] = ()) -> None:
    """Raises Refused when collections, lengths or scalars are not those of the answer's kind.

    Args:
      terms: of the experiment.
      message: that passed the gate.
      numbers: names of those that answer a question beside the rounds; of those that may be told
        by groups of people beside a row.
    """
    kind, scalars = message.envelope.kind, set(message.envelope.scalars)
    if kind in WHOLE_NUMBERS:
        vector, dtype = WHOLE_NUMBERS[kind]
        if scalars or {k: v.dtype.name for k, v in message.vectors.items()} != {vector: dtype}:
            raise Refused(f"expected {vector} of {dtype} and nothing else")
        return
    if kind in VOXELS.values():  # the gate has compared names and lengths
        odd = any(vector.dtype != np.float32 for vector in message.vectors.values())
        if scalars or odd:
            raise Refused("expected vectors of float32 and nothing else")
        return
    names = {
        "update": {"weight", *terms.metrics},
        "validated": {"loss", "count"},
        **{tested: set(TEST_METRICS) for tested in TESTED},
        **{kept: set() for kept in KEPT.values()},
        **{kind: set(numbers) for kind in NUMBERS},
        "lent": set(),
    }[kind]
    optional = (*OPTIONAL, *PRIVACY, *SUM_NAMES, *numbers) if kind in TESTED else ()
    if scalars - set(optional) != names:
        raise Refused(f"expected the scalars {', '.join(sorted(names))}, got {sorted(scalars)}")
    outlines = {"update": terms.answer, "lent": model_outline(terms)}
    unflatten(message.vectors, outlines.get(kind, {}))
    if kind == "update":
        require_variances(terms, message)
