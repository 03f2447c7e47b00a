"""The text of docs/what_leaves.md, made from the code.

A field that the code sends and that has no line here is an error; tests compare the lines with the
messages of a run.
"""

from collections.abc import Mapping
from typing import Any

import jax

from fedbrain.analysis.site_sums import NAMES
from fedbrain.deploy.protocol.answers import OPTIONAL, PRIVACY, TEST_METRICS
from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.register import Note, Registration
from fedbrain.deploy.protocol.reveals import ALGORITHMS
from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.what_leaves_fields import (
    BESIDE,
    COLLECTIONS,
    ENVELOPE,
    JOINED,
    NOTE,
    SCALARS,
    Field,
)
from fedbrain.deploy.protocol.what_leaves_text import DOCUMENT
from fedbrain.deploy.protocol.wire import Envelope, schema
from fedbrain.experiments.workdir import clean


def sent_scalars(terms: Terms) -> set[str]:
    """All numbers by name that a site can send.

    Args:
      terms: of the experiment.
    """
    return {"weight", *terms.metrics, "loss", "count", *TEST_METRICS, *OPTIONAL, *PRIVACY, *NAMES}


def _algorithms() -> str:
    lines = ["| algorithm | without being named | sent beside the weights | what it tells |"]
    lines.append("|---|---|---|---|")
    for name, row in ALGORITHMS.items():
        opened = "runs" if row.opened else "refused"
        lines.append(f"| `{name}` | {opened} | {row.sent} | {row.note} |")
    return "\n".join(lines)


def _rows(names: Any, table: Mapping[str, Field], **sizes: object) -> str:
    lines = ["| field | type | size | example | what it is |", "|---|---|---|---|---|"]
    for name in names:
        kind, size, example, meaning = table[name]
        lines.append(f"| `{name}` | {kind} | {size.format(**sizes)} | {example} | {meaning} |")
    return "\n".join(lines)


def render(terms: Terms, *, model: str, sizes: Mapping[str, int]) -> str:
    """The document.

    Args:
      terms: of an experiment.
      model: its name, for people.
      sizes: numbers in each collection of an update.
    """
    scalars = sorted(sent_scalars(terms), key=list(SCALARS).index)
    return DOCUMENT.format(
        joined=_rows(Registration._fields, JOINED),
        note="\n".join(_rows(Note._fields, NOTE).splitlines()[2:]),
        algorithms=_algorithms(),
        envelope=_rows(Envelope._fields, ENVELOPE),
        scalars=_rows(scalars, SCALARS),
        beside=_rows(BESIDE, BESIDE),
        model=f"{model}, with all weights shared (schema {schema(terms.answer)[:16]}...)",
        vectors=_rows(terms.answer, COLLECTIONS, **sizes),
    )


def render_config(config: Mapping[str, Any], *, name: str) -> str:
    """The document for a configuration of three sites, called `name` in it."""
    fields = {k: v for k, v in config.items() if k not in ("sites", "cache")}
    fields |= {
        "describe": (),
        "baselines": (),
        "regimes": ("federated", "local"),
    }  # what a consortium computes
    job = {"config": clean(fields), "target": "age", "sites": ["amber", "birch", "cedar"]}
    terms = agree(job).terms
    sizes = {k: sum(x.size for x in jax.tree.leaves(v)) for k, v in terms.answer.items()}
    return render(terms, model=name, sizes=sizes)
