"""Writes docs/what_leaves.md from the code: python -m fedbrain.deploy.what_leaves >
docs/what_leaves.md.

A field that the code sends and that has no line here is an error; tests compare the lines with the
messages of a run.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.messages import DEFINED, TOLD, Terms
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.wire import Envelope, schema
from fedbrain.experiments.workdir import clean


class Field(NamedTuple):
    """A line of the table."""

    kind: str
    size: str
    example: str
    meaning: str


TEXT, NUMBER, VECTOR = "text", "decimal number", "vector of float32, bfloat16 or int8"
ENVELOPE: Mapping[str, Field] = {
    "kind": Field(
        TEXT,
        "9 bytes at most",
        "update",
        "validated, update or reported: which question is answered",
    ),
    "sender": Field(TEXT, "63 bytes at most", "amber", "the site's name in the consortium"),
    "round": Field("whole number", "up to 4 digits", "12", "of the question"),
    "nonce": Field(TEXT, "32 bytes", "9f86d081884c7d65...", "of the question, repeated"),
    "config": Field(
        TEXT, "64 bytes", "5594d9e238f57b69...", "SHA-256 of the experiment's configuration"
    ),
    "schema": Field(
        TEXT, "64 bytes", "2b3ee5d62648102c...", "SHA-256 of the names, shapes and types of arrays"
    ),
    "scalars": Field("table of numbers", "see below", "", "below, by kind"),
}
SCALARS: Mapping[str, Field] = {
    "weight": Field(NUMBER, "24 bytes at most", "469", "update: training scans"),
    "loss": Field(
        NUMBER,
        "24 bytes at most",
        "4821.55",
        "sum of losses, over training (update) or validation scans (validated)",
    ),
    "count": Field(
        NUMBER,
        "24 bytes at most",
        "938",
        "update: training examples seen; validated: validation scans",
    ),
    "steps": Field(NUMBER, "24 bytes at most", "118", "update: optimisation steps"),
    "examples": Field(
        NUMBER,
        "24 bytes at most",
        "938",
        "update: training scans once more; 0 when no step was taken",
    ),
    "n": Field(NUMBER, "24 bytes at most", "59", "reported: test scans"),
    "subjects": Field(NUMBER, "24 bytes at most", "59", "reported: test subjects"),
    "mae": Field(
        NUMBER, "24 bytes at most", "6.08", "reported: mean absolute error over test scans"
    ),
    "mae_low": Field(
        NUMBER, "24 bytes at most", "5.01", "reported: lower end of its 95 % interval"
    ),
    "mae_high": Field(
        NUMBER, "24 bytes at most", "7.22", "reported: upper end of its 95 % interval"
    ),
    "rmse": Field(NUMBER, "24 bytes at most", "7.9", "reported: root mean squared error"),
    "r2": Field(NUMBER, "24 bytes at most", "0.81", "reported: share of variance explained"),
    "r": Field(
        NUMBER, "24 bytes at most", "0.91", "reported: Pearson correlation, where it is defined"
    ),
    "p": Field(NUMBER, "24 bytes at most", "1e-23", "reported: its p value"),
    "floor_mae": Field(
        NUMBER,
        "24 bytes at most",
        "14.2",
        "reported: mean absolute error of the median of the training labels",
    ),
}
COLLECTIONS: Mapping[str, Field] = {
    "delta": Field(
        VECTOR,
        "{delta} numbers",
        "[1.2e-4, -3.1e-5, ...]",
        "update: change of the weights that are shared",
    ),
    "model_state": Field(
        VECTOR,
        "{model_state} numbers",
        "[0.02, 1.13, ...]",
        "update: running statistics, if shared",
    ),
    "extra": Field(
        VECTOR,
        "{extra} numbers",
        "[]",
        "update: what the algorithm adds (SCAFFOLD: control variates)",
    ),
}
JOINED: Mapping[str, Field] = {
    "train": Field("whole number", "6 bytes", "469", "training scans: no update may claim more"),
    "valid": Field("whole number", "6 bytes", "58", "validation scans"),
    "test": Field("whole number", "6 bytes", "59", "test scans"),
    "synthetic": Field("true or false", "5 bytes", "false", "whether images are of no real person"),
}


DOCUMENT = """# What leaves a hospital

Made from the code by `python -m fedbrain.deploy.what_leaves`; `tests/deploy/test_what_leaves.py`
compares it with the code and with the messages of a run. Nothing else is sent by fedbrain: no
image, no label, no prediction, no identifier, no path, no log. The network engine adds its own
frames: the site's name and certificate, job ids, times, and return codes.

A site can see for itself: `python -m fedbrain.deploy.site dry_run --kit=KIT --job=JOB
--output=FILE` writes the exact bytes that the first round of a job would send;
`fedbrain/audit.jsonl` in its kit has a line for every message that was.

## When a site joins a run

{joined}

## Every answer

A magic word (4 bytes), a length (4), a SHA-256 of all that follows (32), a header in JSON with
spaces up to a multiple of 16 bytes, and vectors. Above 4 MB the server fetches it in pieces of 1
MB.

{envelope}

## Numbers by name

{scalars}

## Vectors

Sizes of {model}.

{vectors}

## Sentences

A site that refuses says why in a sentence: which field, what it expected, what came. A sentence
never holds a path or an identifier: what concerns files is told in the site's own log, and the
server reads only "the site cannot take part".

## What the numbers could still tell

Weights that were trained on few people can tell of them: membership inference and reconstruction
from gradients are known attacks. Against them: a minimum of training subjects per site
(`minimum_subjects`), sums and counts over whole splits only, test results only from
`minimum_test_subjects` on, several epochs per update. Differential privacy and secure aggregation
are not part of this release of the deployment.
"""


def sent_scalars(terms: Terms) -> set[str]:
    """All numbers by name that a site can send."""
    return {"weight", *terms.metrics, "loss", "count", *TOLD, *DEFINED}


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
        envelope=_rows(Envelope._fields, ENVELOPE),
        scalars=_rows(scalars, SCALARS),
        model=f"{model}, all weights shared (schema {schema(terms.answer)[:16]}...)",
        vectors=_rows(terms.answer, COLLECTIONS, **sizes),
    )


def render_config(config: Mapping[str, Any], *, name: str) -> str:
    """The document for a configuration of three sites, called `name` in it."""
    fields = {k: v for k, v in config.items() if k not in ("sites", "cache")}
    job = {"config": clean(fields), "target": "age", "sites": ["amber", "birch", "cedar"]}
    terms = agree(job).terms
    sizes = {k: sum(x.size for x in jax.tree.leaves(v)) for k, v in terms.answer.items()}
    return render(terms, model=name, sizes=sizes)
