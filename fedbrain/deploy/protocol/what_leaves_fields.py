"""The fields that leave a hospital, each with its type, size and meaning."""

from collections.abc import Mapping
from typing import NamedTuple

from fedbrain.analysis.site_sums import NAMES


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
        "the kind of answer: `validated`, `update`, `reported`, `alone`, `kept`, `kept_lone`, or"
        " one that a site must open",
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
BESIDE: Mapping[
    str, Field
] = {  # answers to questions that a site must open; an example of each name
    "age*target": Field(
        NUMBER,
        "24 bytes at most",
        "18213.5",
        "summed, only with `baselines` in `[allow]`: a sum over all training scans of the product"
        " of two of these: 1, the columns of a linear regression, which of them are unknown, the"
        " target. No column that is the same for all but a few people, or unknown of a few",
    ),
    "age: xx": Field(
        NUMBER,
        "24 bytes at most",
        "9120.4",
        "described, only with `describe` in `[allow]`: of a column, over all people of the site:"
        " `scans`, `people` and `missing` (counts), sums of powers `x`, `xx`, `xxx` around a"
        " constant of the job; `withheld` (1: fewer people than the site's limit have a value, and"
        " nothing else is told)",
    ),
    "age: count 2": Field(
        NUMBER,
        "24 bytes at most",
        "17",
        "described, likewise: people of a class, 5 or more or nobody, and `edge 2`: whether a class"
        " begins there (1) or bins were merged (0)",
    ),
    "age 2: mae": Field(
        NUMBER,
        "24 bytes at most",
        "6.2",
        "reported and alone, only with `report_by` in `[allow]`: of the test people of a class, 5"
        " or more: `until` (the number of the band where it ends), `n`, `subjects`, `mae`,"
        " `mae_se`, `mae_low`, `mae_high`, `floor_mae`; of smaller classes nothing",
    ),
}
PATTERNS = {  # of the names of numbers -> its example above
    r"[^*]+\*[^*]+": "age*target",
    r".+: (scans|people|missing|withheld|x|xx|xxx)": "age: xx",
    r".+: (edge|count) \d+": "age: count 2",
    r".+ \d+: (until|n|subjects|mae|mae_se|mae_low|mae_high|floor_mae)": "age 2: mae",
}
