"""The text of docs/what_leaves.md, made from the code.

A field that the code sends and that has no line here is an error; tests compare the lines with the
messages of a run.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from fedbrain.analysis.site_sums import NAMES
from fedbrain.deploy.protocol.answers import OPTIONAL, PRIVACY, TEST_METRICS
from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.register import Note, Registration
from fedbrain.deploy.protocol.reveals import ALGORITHMS
from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.what_leaves_text import DOCUMENT
from fedbrain.deploy.protocol.wire import Envelope, schema
from fedbrain.experiments.workdir import clean


class Field(NamedTuple):
    """A line of the table."""

    kind: str  # text, number or vector
    size: str  # in bytes or numbers
    example: str  # a value
    meaning: str  # in words


TEXT, NUMBER, VECTOR = "text", "decimal number", "vector of float32, bfloat16 or int8"
ENVELOPE: Mapping[str, Field] = {
    "kind": Field(
        TEXT,
        "9 bytes at most",
        "update",
        "`validated`, `update`, `reported`, `alone`, `kept` or `kept_lone`: the kind of answer",
    ),
    "sender": Field(TEXT, "63 bytes at most", "amber", "the site's name in the consortium"),
    "round": Field(
        "whole number", "up to 4 digits", "12", "number of the round that the question names"
    ),
    "nonce": Field(
        TEXT, "32 bytes", "9f86d081884c7d65...", "random number of the question, repeated"
    ),
    "config": Field(
        TEXT, "64 bytes", "5594d9e238f57b69...", "SHA-256 of the experiment's configuration"
    ),
    "schema": Field(
        TEXT, "64 bytes", "2b3ee5d62648102c...", "SHA-256 of the names, shapes and types of arrays"
    ),
    "scalars": Field("table of numbers", "see below", "", "see the next table"),
}
SCALARS: dict[str, Field] = {
    "weight": Field(NUMBER, "24 bytes at most", "469", "update: number of training scans"),
    "loss": Field(
        NUMBER,
        "24 bytes at most",
        "4821.55",
        "sum of losses: over training examples (update; not sent under differential privacy) or"
        " validation scans (validated; under differential privacy of bounded losses, with noise)",
    ),
    "count": Field(
        NUMBER,
        "24 bytes at most",
        "938",
        "update: training examples of all epochs; validated: number of validation scans",
    ),
    "steps": Field(NUMBER, "24 bytes at most", "118", "update: number of optimisation steps"),
    "examples": Field(
        NUMBER,
        "24 bytes at most",
        "469",
        "update: number of training scans, or 0 when no step was taken",
    ),
    "n": Field(NUMBER, "24 bytes at most", "59", "reported: number of test scans"),
    "subjects": Field(NUMBER, "24 bytes at most", "59", "reported: number of test subjects"),
    "mae": Field(
        NUMBER, "24 bytes at most", "6.08", "reported: mean absolute error over test scans"
    ),
    "mae_se": Field(NUMBER, "24 bytes at most", "0.55", "reported: its standard error over people"),
    "mae_low": Field(
        NUMBER,
        "24 bytes at most",
        "5.01",
        "reported: lower end of its 95 % interval, from 8 people on",
    ),
    "mae_high": Field(
        NUMBER, "24 bytes at most", "7.22", "reported: upper end of its 95 % interval"
    ),
    "rmse": Field(NUMBER, "24 bytes at most", "7.9", "reported: root mean squared error"),
    "r2": Field(NUMBER, "24 bytes at most", "0.81", "reported: share of variance explained"),
    "r": Field(
        NUMBER,
        "24 bytes at most",
        "0.91",
        "reported: Pearson correlation over people, where it is defined",
    ),
    "r_low": Field(NUMBER, "24 bytes at most", "0.85", "reported: lower end of its 95 % interval"),
    "r_high": Field(NUMBER, "24 bytes at most", "0.95", "reported: upper end of its 95 % interval"),
    "p": Field(NUMBER, "24 bytes at most", "1e-23", "reported: its p value"),
    "floor_mae": Field(
        NUMBER,
        "24 bytes at most",
        "14.2",
        "reported: mean absolute error of the median of the training labels, or under differential"
        " privacy of the test labels",
    ),
    "epsilon": Field(
        NUMBER,
        "24 bytes at most",
        "2.9",
        "reported, under differential privacy: of training and validation people, over the whole"
        " experiment",
    ),
    "delta_dp": Field(NUMBER, "24 bytes at most", "1e-05", "reported, likewise: its delta"),
}
WORDS = {
    "scans": "a sum over test scans",
    "people": "a sum over test people, means over scans of each",
    "valid": "likewise, over validation people",
    "gap": "the age gap on test people: its slope, slope and error after the correction, and the"
    " ends of their 95 % intervals",
}
SCALARS |= {
    name: Field(
        NUMBER,
        "24 bytes at most",
        "",
        f"reported, only with `pooled_sums` in `site.toml`: {WORDS[name.split('_')[0]]}"
        " (x: target, y: prediction)",
    )
    for name in NAMES
}
COLLECTIONS: Mapping[str, Field] = {
    "delta": Field(
        VECTOR,
        "{delta} numbers",
        "[1.2e-4, -3.1e-5, ...]",
        "update: change of the shared weights",
    ),
    "model_state": Field(
        VECTOR,
        "{model_state} numbers",
        "[0.02, 1.13, ...]",
        "update: running statistics of batch norm, if shared",
    ),
    "extra": Field(
        VECTOR,
        "{extra} numbers",
        "[]",
        "update: what the algorithm adds, for instance SCAFFOLD's control variates",
    ),
}
JOINED: Mapping[str, Field] = {
    "train": Field(
        "whole number", "6 bytes", "469", "number of training scans; no update may claim more"
    ),
    "valid": Field("whole number", "6 bytes", "58", "number of validation scans"),
    "test": Field("whole number", "6 bytes", "59", "number of test scans"),
    "synthetic": Field("true or false", "5 bytes", "false", "true: the images are synthetic"),
    "splits": Field(
        "table", "40 bytes a split", "", "the three numbers of each split, where a job has several"
    ),
}


NOTE: Mapping[str, Field] = {
    "round": Field(
        "whole number", "up to 5 digits", "12", "round of the last model that the site has seen"
    ),
    "versions": Field(
        "table of texts", "200 bytes", "", "versions of fedbrain, jax and the engine"
    ),
    "record": Field(
        "table",
        "3 kB",
        "",
        "lines of the site's own record, the hash of the last one, and the site's"
        " signature and certificate",
    ),
    "rounds": Field(
        "table", "25 bytes a split", "", "`round` of each split, where a job has several"
    ),
}


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
        model=f"{model}, with all weights shared (schema {schema(terms.answer)[:16]}...)",
        vectors=_rows(terms.answer, COLLECTIONS, **sizes),
    )


def render_config(config: Mapping[str, Any], *, name: str) -> str:
    """The document for a configuration of three sites, called `name` in it."""
    fields = {k: v for k, v in config.items() if k not in ("sites", "cache")}
    fields |= {"describe": (), "regimes": ("federated", "local")}  # what a consortium computes
    job = {"config": clean(fields), "target": "age", "sites": ["amber", "birch", "cedar"]}
    terms = agree(job).terms
    sizes = {k: sum(x.size for x in jax.tree.leaves(v)) for k, v in terms.answer.items()}
    return render(terms, model=name, sizes=sizes)
