"""What a hospital agrees to run: its own `site.toml`, which the server never sees, is checked
against the configuration of a job.

name = "brussels"
minimum_subjects = 20            # with fewer training subjects the site takes no part
minimum_test_subjects = 10       # with fewer, no test metrics are sent at the end

[data]
root = "/data/brussels"          # a BIDS tree
pattern = "T1w"
pipeline = ""

[targets.age]                    # consent: a target that is not here is refused
column = "age"

[columns]                        # covariates that may be used, and what they are called here
sex = "gender"

[allow]                          # names of calls, by field; other fields may hold any known call
model = ["densenet121", "adapted_sfcn"]
loss = ["l1"]

[at_most]
"client.batch_size" = 8
"rounds" = 200
"""

import ast
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.deploy.protocol.config_hash import OWN
from fedbrain.deploy.protocol.wire import Refused


class Policy(NamedTuple):
    """A `site.toml`."""

    name: str  # of the site in the consortium
    root: Path  # of the BIDS tree
    pattern: str  # suffix, or entities and suffix, of the images
    pipeline: str  # folder in derivatives/; empty: the raw tree
    minimum_subjects: int  # training subjects without which the site takes no part
    minimum_test_subjects: int  # test subjects without which no test metrics are sent
    targets: Mapping[str, str]  # target -> column
    columns: Mapping[str, str]  # covariate -> its column here
    allow: Mapping[str, list[str]]  # field of a configuration -> names of calls that it may hold
    at_most: Mapping[str, float]  # field of a configuration -> its largest value


KEYS = {
    "": {
        "name": str,
        "minimum_subjects": int,
        "minimum_test_subjects": int,
        "data": dict,
        "targets": dict,
        "columns": dict,
        "allow": dict,
        "at_most": dict,
    },
    "data": {"root": str, "pattern": str, "pipeline": str},
}


def read_policy(path: Path) -> Policy:
    """Reads a site's file.

    Args:
      path: of the file.

    Raises:
      ValueError: naming the file and the key, for what is missing, misspelt or of another type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: expected a TOML file, got: {error}.") from None
    for table, keys in KEYS.items():
        part = content.get(table, {}) if table else content
        for key, value in part.items():
            if key not in keys or type(value) is not keys[key]:
                where = f"[{table}] {key}" if table else key
                known = key in keys
                expected = keys[key].__name__ if known else f"one of {', '.join(keys)}"
                came = type(value).__name__ if known else repr(key)
                raise ValueError(f"{path}: {where}: expected {expected}, got {came}.")
    missing = [k for k in ("name", "minimum_subjects", "data", "targets") if k not in content]
    missing += [] if "root" in content.get("data", {}) else ["[data] root"]
    missing += [
        f"[targets.{name}] column"
        for name, target in content.get("targets", {}).items()
        if "column" not in target
    ]
    if missing:
        raise ValueError(f"{path}: expected {missing[0]}, got none.")
    data = {"pattern": "T1w", "pipeline": "", **content["data"]}
    return Policy(
        name=content["name"],
        root=Path(data["root"]),
        pattern=data["pattern"],
        pipeline=data["pipeline"],
        minimum_subjects=content["minimum_subjects"],
        minimum_test_subjects=content.get("minimum_test_subjects", 10),
        targets={name: target["column"] for name, target in content["targets"].items()},
        columns=content.get("columns", {}),
        allow=content.get("allow", {}),
        at_most=content.get("at_most", {}),
    )


def _value(config: Mapping[str, Any], field: str) -> Any:
    value: Any = config
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise Refused(f"config.{field}: expected a value, since this site limits it, got none")
        value = value[name]
    return value


def _called(value: Any) -> set[str]:
    """Names of the calls in a field: `densenet121(norm='batch')` -> densenet121."""
    names = set()
    for text in value if isinstance(value, list | tuple) else [value]:
        try:
            node = ast.parse(str(text).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {str(text)[:40]}
        function = node.func if isinstance(node, ast.Call) else node
        names.add(function.id if isinstance(function, ast.Name) else str(text)[:40])
    return names


def consent(policy: Policy, config: Mapping[str, Any], target: str) -> str:
    """Checks a job against the policy.

    Args:
      policy: of this site.
      config: of the job, without data.
      target: what the job wants predicted.

    Returns:
      The site's own data as `config.sites` names it.

    Raises:
      Refused: saying what the job asked for and what this site allows.
    """
    own = [name for name in OWN if config.get(name)]
    if own:
        raise Refused(
            f"config.{own[0]}: expected none in a job, since paths are this site's own, got some"
        )
    if target not in policy.targets:
        raise Refused(
            f"target: expected one that this site consents to, {', '.join(sorted(policy.targets))},"
            f" got {target!r}"
        )
    for field, names in policy.allow.items():
        refused = _called(_value(config, field)) - set(names)
        if refused:
            raise Refused(
                f"config.{field}: expected one that this site allows, {', '.join(names)}, got"
                f" {sorted(refused)[0]!r}"
            )
    for field, most in policy.at_most.items():
        value = _value(config, field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value <= most:
            raise Refused(f"config.{field}: expected at most {most:g} at this site, got {value!r}")
    wanted = {name for spec in config.get("covariates", ()) for name in _columns_of(spec)}
    closed = sorted(wanted - set(policy.columns))
    if closed:
        raise Refused(
            f"config.covariates: expected columns that this site opens, {sorted(policy.columns)},"
            f" got {closed[0]!r}"
        )
    columns = {name: policy.columns[name] for name in sorted(wanted)}
    where = (
        f"label={policy.targets[target]!r}, pattern={policy.pattern!r},"
        f" pipeline={policy.pipeline!r}"
    )
    return f"bids({str(policy.root)!r}, {where}, columns={columns!r})"


def _columns_of(spec: Any) -> set[str]:
    """The literal texts in a covariate's call: its column."""
    try:
        tree = ast.parse(str(spec).strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Refused(f"config.covariates: expected a call, got {str(spec)[:40]!r}") from None
    return {
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def require_subjects(policy: Policy, subjects: int) -> None:
    """Raises Refused below the site's minimum: an update of few people reveals more of each.

    Args:
      policy: of this site.
      subjects: number of training subjects.
    """
    if subjects < policy.minimum_subjects:
        raise Refused(
            f"expected at least {policy.minimum_subjects} training subjects at {policy.name}, got"
            f" {subjects}"
        )
