"""A hospital's `site.toml`: what it allows. The server never sees it. A key that is not known is an
error, so that nothing is misspelt in silence.

name = "brussels"
approval = true                  # a job runs when a person here has approved its hash
minimum_subjects = 20            # with fewer people to train on, the site takes no part
minimum_validation_subjects = 10 # with fewer to validate on, the site takes no part
minimum_test_subjects = 10       # with fewer, no test metrics are sent at the end
minimum_class_subjects = 5       # a class or a bin of fewer people is not told of
validation_digits = 2            # of a sum of validation losses that is sent; 0: all
crossed = false                  # send the model trained alone to the others, and test theirs
pooled_sums = false              # beside a test row, sums over test and validation people

[data]
root = "/data/brussels"          # a BIDS tree
pattern = "T1w"
pipeline = ""
modalities = ["T1w"]             # images that may be used

[targets.age]                    # consent: a target that is not here is refused
column = "age"

[columns]                        # covariates that may be used, and what they are called here
sex = "gender"

[start]                          # first models that are sent: without this table, none is accepted
sha256 = []                      # those of these hashes
runs = true                      # the best model of a run that this site saw to its end
approved = false                 # any, in a job that a person here has approved

[allow]                          # calls, by field, in place of the package's own list (`opened`)
model = ["densenet121", "adapted_sfcn"]

[privacy]                        # without this table, none is demanded: see `demands`
epsilon_at_most = 3.0

[at_least]
"client.batch_size" = 4

[at_most]
"rounds" = 200
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.data.small_counts import FEWEST
from fedbrain.deploy.site_side.accepted_starts import KEYS as START_KEYS
from fedbrain.deploy.site_side.accepted_starts import Starts, read_starts
from fedbrain.deploy.site_side.approval import read_approved
from fedbrain.deploy.site_side.demands import KEYS as PRIVACY_KEYS
from fedbrain.deploy.site_side.demands import Demands, read_demands
from fedbrain.deploy.site_side.limits import (
    AT_LEAST,
    AT_MOST,
    ESTIMATES,
    VALUES,
    require_limits,
)
from fedbrain.deploy.site_side.opened import CALLS
from fedbrain.deploy.site_side.withdrawal import read_withdrawn
from fedbrain.experiments.spec import bind


class Policy(NamedTuple):
    """A `site.toml`."""

    name: str  # of the site in the consortium
    root: Path  # of the BIDS tree
    pattern: str  # suffix, or entities and suffix, of the images
    pipeline: str  # folder in derivatives/; empty: the raw tree
    minimum_subjects: int  # people to train on without whom the site takes no part
    minimum_test_subjects: int  # test subjects without which no test metrics are sent
    targets: Mapping[str, str]  # target -> column
    columns: Mapping[str, str]  # covariate -> its column here
    allow: Mapping[str, list[str]]  # field of a configuration -> calls that it may hold
    at_most: Mapping[str, float]  # field of a configuration, or estimate -> its largest value
    at_least: Mapping[str, float] = AT_LEAST  # field, or count of a round -> its smallest value
    minimum_validation_subjects: int = 10  # people to validate on, likewise
    minimum_class_subjects: int = FEWEST  # people of a class or a bin of whom anything is told
    modalities: tuple[str, ...] = ("T1w",)  # suffixes of images that may be used
    validation_digits: int = 2  # significant digits of a sum of validation losses; 0: all
    approval: bool = True  # whether a person must approve every job
    approved: frozenset[str] = frozenset()  # hashes of jobs that a person has approved
    withdrawn: Mapping[str, str] = {}  # hashes of jobs, or `everything` -> since when
    starts: Starts = Starts()  # first models that are accepted from the server
    demands: Demands = Demands()  # differential privacy without which no job runs
    crossed: bool = False  # whether models that sites train alone are sent and tested
    pooled_sums: bool = False  # whether sums over people are told beside a row of test results


NUMBERS = [name for name, bound in VALUES.items() if any(map(bound.accepts, (0.5, 2)))]
KEYS: Mapping[str, Mapping[str, type]] = {
    "": {
        "name": str,
        "minimum_subjects": int,
        "minimum_validation_subjects": int,
        "minimum_test_subjects": int,
        "minimum_class_subjects": int,
        "validation_digits": int,
        "crossed": bool,
        "pooled_sums": bool,
        "approval": bool,
        "data": dict,
        "targets": dict,
        "columns": dict,
        "start": dict,
        "privacy": dict,
        "allow": dict,
        "at_most": dict,
        "at_least": dict,
    },
    "data": {"root": str, "pattern": str, "pipeline": str, "modalities": list},
    "start": START_KEYS,
    "privacy": PRIVACY_KEYS,
    "allow": dict.fromkeys(CALLS, list),
    "at_most": dict.fromkeys([*NUMBERS, *AT_MOST, *ESTIMATES], float),
    "at_least": dict.fromkeys([*NUMBERS, *AT_LEAST], float),
}
COLUMN = {"column": str}


def _folder(root: str) -> Path:
    try:
        return Path(root).expanduser()
    except RuntimeError as error:  # ~ of nobody
        raise ValueError(f"[data] root: {error}") from None


def read_policy(path: Path) -> Policy:
    """Reads a site's file.

    Args:
      path: of the file.

    Raises:
      ValueError: naming the file and the key, for what is missing, misspelt or of another type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: expected a TOML file, got: {error}.") from None
    try:
        return _policy(content)._replace(
            approved=read_approved(path.with_name("approved.json")),
            withdrawn=read_withdrawn(path.with_name("withdrawn.json")),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _policy(content: Mapping[str, Any]) -> Policy:
    for table, keys in KEYS.items():
        _require_keys(table, content.get(table, {}) if table else content, keys)
    for name, target in content.get("targets", {}).items():
        _require_type(f"[targets] {name}", target, dict)
        _require_keys(f"targets.{name}", target, COLUMN)
    columns = content.get("columns", {})
    _require_keys("columns", columns, dict.fromkeys(columns, str))
    missing = [key for key in ("name", "data", "targets") if key not in content]
    missing += [] if "root" in content.get("data", {}) else ["[data] root"]
    missing += [
        f"[targets.{name}] column"
        for name, target in content.get("targets", {}).items()
        if "column" not in target
    ]
    if missing:
        raise ValueError(f"expected {missing[0]}, got none.")
    if not content["data"]["root"]:
        raise ValueError("[data] root: expected the folder of a BIDS tree, got none.")
    for field, calls in content.get("allow", {}).items():
        for call in calls:
            require_call(field, call)
    for table in ("at_least", "at_most"):
        require_limits(table, content.get(table, {}))
    data = {"pattern": "T1w", "pipeline": "", **content["data"]}
    modalities = data.get("modalities", [data["pattern"].rsplit("_", 1)[-1]])
    for name in modalities:
        _require_type("[data] modalities", name, str)
    return Policy(
        name=content["name"],
        root=_folder(data["root"]),
        pattern=data["pattern"],
        pipeline=data["pipeline"],
        minimum_subjects=_count(content, "minimum_subjects", 20),
        minimum_validation_subjects=_count(content, "minimum_validation_subjects", 10),
        minimum_test_subjects=_count(content, "minimum_test_subjects", 10),
        minimum_class_subjects=_count(content, "minimum_class_subjects", FEWEST),
        validation_digits=_count(content, "validation_digits", 2, least=0),
        targets={name: target["column"] for name, target in content["targets"].items()},
        columns=columns,
        allow=content.get("allow", {}),
        at_most={**AT_MOST, **content.get("at_most", {})},
        at_least={**AT_LEAST, **content.get("at_least", {})},
        modalities=tuple(modalities),
        approval=content.get("approval", True),
        starts=read_starts(content.get("start", {}), approval=content.get("approval", True)),
        crossed=content.get("crossed", False),
        pooled_sums=content.get("pooled_sums", False),
        demands=read_demands(content.get("privacy", {})),
    )


def _require_keys(table: str, part: Mapping[str, Any], keys: Mapping[str, type]) -> None:
    for key, value in part.items():
        where = f"[{table}] {key}" if table else key
        if key not in keys:
            raise ValueError(f"{where}: expected one of {', '.join(keys)}, got {key!r}.")
        _require_type(where, value, keys[key])


def _require_type(where: str, value: Any, kind: type) -> None:
    """A number may be written without a point; True is no number."""
    fits = type(value) in (int, float) if kind is float else type(value) is kind
    if not fits:
        expected = "a number" if kind is float else kind.__name__
        raise ValueError(f"{where}: expected {expected}, got {type(value).__name__}.")


def _count(content: Mapping[str, Any], key: str, default: int, least: int = 1) -> int:
    value = content.get(key, default)
    if value < least:
        raise ValueError(f"{key}: expected at least {least}, got {value}.")
    return value


def require_call(field: str, call: Any) -> None:
    """Raises ValueError when an entry of `[allow]` is neither a known name nor a call of one.

    Args:
      field: of a configuration.
      call: the entry.
    """
    calls = CALLS[field]
    _require_type(f"[allow] {field}", call, str)
    if "(" in call:
        try:
            bind(call, calls.table, **calls.program)
        except ValueError as error:
            raise ValueError(f"[allow] {field}: {error}") from None
    elif call not in calls.table:
        names = ", ".join(sorted(calls.table))
        raise ValueError(f"[allow] {field}: expected one of {names}, got {call!r}.")
    elif call not in calls.bounds:
        raise ValueError(
            f"[allow] {field}: expected {call!r} with its arguments, as a job may call it, got the"
            " name alone."
        )
