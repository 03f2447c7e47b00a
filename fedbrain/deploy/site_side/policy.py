"""What a hospital agrees to run: a job is checked against its `site.toml`, field by field. A field
that is not known, a call that is not opened and an argument out of its range are refused.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from fedbrain.data.splits import columns_of
from fedbrain.deploy.protocol.config_hash import OWN
from fedbrain.deploy.protocol.linear import read_linear
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.calls import Calls, require_written
from fedbrain.deploy.site_side.limits import VALUES
from fedbrain.deploy.site_side.opened import CALLS, MANY
from fedbrain.deploy.site_side.site_file import Policy, read_policy
from fedbrain.experiments.spec import bind

# names that ask for nothing, also where `[allow]` opens another: `harmonise = ["voxelwise"]`
NOTHING = {"harmonise": ("none",)}
__all__ = ["Policy", "consent", "name_of", "read_policy", "require_subjects"]


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
    fields = dict(_fields(config))
    _require_fields(fields)
    for field, value in fields.items():
        if field in VALUES:
            _require_value(policy, field, value)
        else:
            require_written(field, value, many=field in MANY)
    wanted = _columns(policy, fields["covariates"], fields["splits.stratify"])
    for field in CALLS:
        _require_calls(policy, field, fields[field])
    of_regressions = {c for r in read_linear(fields["baselines"]) for c in r.columns}
    wanted |= _opened_columns(policy, "baselines", of_regressions)
    for field in ("describe", "report_by"):
        calls = [bind(text, CALLS[field].table)[1] for text in fields[field]]
        columns = [call.arguments["column"] for call in calls]
        if len(set(columns)) < len(columns):
            raise Refused(
                f"config.{field}: expected each column once, since classes with other edges would"
                " tell of the people between them, got one twice"
            )
        wanted |= _opened_columns(policy, field, set(columns) - {"target"})
    kept = bind(fields["harmonise"], CALLS["harmonise"].table)[1].arguments.get("columns", ())
    wanted |= _opened_columns(policy, "harmonise", set(kept) - {"target"})
    closed = [name for name in fields["modalities"] if name not in policy.modalities]
    if closed:
        raise Refused(
            "config.modalities: expected images that this site opens,"
            f" {', '.join(policy.modalities)}, got {closed[0]!r}"
        )
    columns = {name: policy.columns[name] for name in sorted(wanted)}
    where = (
        f"label={policy.targets[target]!r}, pattern={policy.pattern!r},"
        f" pipeline={policy.pipeline!r}"
    )
    return f"bids({str(policy.root)!r}, {where}, columns={columns!r})"


def _fields(config: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of every field, nested ones as `client.batch_size`, without a site's own."""
    for key, value in config.items():
        field = f"{name}.{key}" if name else str(key)
        if isinstance(value, Mapping):
            yield from _fields(value, field)
        elif field not in OWN:
            yield field, value


def _require_fields(fields: Mapping[str, Any]) -> None:
    known = (*VALUES, *CALLS)
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise Refused(f"config.{unknown[0][:80]}: expected a field of an experiment, got another")
    missing = [field for field in known if field not in fields]
    if missing:
        raise Refused(
            f"config.{missing[0]}: expected a value, since this site limits it, got none. A job is"
            " expected the fields of an experiment"
        )


def _require_value(policy: Policy, field: str, value: Any) -> None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    most, least = policy.at_most.get(field), policy.at_least.get(field)
    if most is not None and not (plain and value <= most):
        raise Refused(
            f"config.{field}: expected at most {most:g} at this site, got {_short(value)}"
        )
    if least is not None and not (plain and value >= least):
        raise Refused(
            f"config.{field}: expected at least {least:g} at this site, got {_short(value)}"
        )
    if not VALUES[field].accepts(value):
        raise Refused(f"config.{field}: expected {VALUES[field].words}, got {_short(value)}")


def _require_calls(policy: Policy, field: str, value: Any) -> None:
    """Every call of a field is opened, by `[allow]` or else by the package."""
    calls = CALLS[field]
    allowed = [*policy.allow.get(field, sorted(calls.opened))]
    allowed += [name for name in NOTHING.get(field, ()) if name not in allowed]
    for text in value if field in MANY else [value]:
        name = name_of(text)
        exact = [call for call in allowed if "(" in call and _same(call, text, calls)]
        if name not in {call for call in allowed if "(" not in call} and not exact:
            raise Refused(
                f"config.{field}: expected one that this site allows,"
                f" {', '.join(allowed) or 'none'}, got {_shown(name, text, allowed)}"
            )
        if not exact:
            _require_arguments(field, text, calls)


def _require_arguments(field: str, text: str, calls: Calls) -> None:
    try:
        name, bound = bind(text, calls.table, **calls.program)
    except ValueError as error:
        raise Refused(f"config.{field}: {error}") from None
    for argument, value in bound.arguments.items():
        if argument in calls.program:
            continue
        limit = calls.bound(name, argument)
        if limit is None:
            raise Refused(
                f"config.{field}: expected no argument {argument!r} of {name}, which this site does"
                " not open, got one"
            )
        if not limit.accepts(value):
            raise Refused(
                f"config.{field}: {argument} of {name}: expected {limit.words}, got {_short(value)}"
            )


def _same(a: str, b: Any, calls: Calls) -> bool:
    """Whether two texts are the same call, however their arguments are written."""
    try:
        bound = [bind(str(text), calls.table, **calls.program) for text in (a, b)]
    except ValueError:
        return False
    for _, arguments in bound:
        arguments.apply_defaults()
    (first, own), (second, other) = bound
    return first == second and repr(own.arguments) == repr(other.arguments)


def name_of(text: Any) -> str:
    """The name that a text calls, or its beginning when it is no call.

    Args:
      text: of a configuration.

    >>> name_of("densenet121(norm='batch')")
    'densenet121'
    """
    try:
        node = ast.parse(str(text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return str(text)[:40]
    function = node.func if isinstance(node, ast.Call) else node
    return function.id if isinstance(function, ast.Name) else str(text)[:40]


def _shown(name: str, text: Any, allowed: list[str]) -> str:
    """The name; the whole call where the site names it with other arguments."""
    named = any(call.startswith(f"{name}(") for call in allowed)
    return _short(text) if named else repr(name)


def _short(value: Any) -> str:
    return repr(value)[:80]


def _columns(policy: Policy, covariates: Any, stratify: str) -> set[str]:
    """The columns that a job uses, all of them opened by the site."""
    wanted = {name for spec in covariates for name in _columns_of(spec)}
    return _opened_columns(policy, "covariates", wanted | set(columns_of(stratify)) - {"target"})


def _opened_columns(policy: Policy, field: str, wanted: set[str]) -> set[str]:
    closed = sorted(wanted - set(policy.columns))
    if closed:
        raise Refused(
            f"config.{field}: expected columns that this site opens, {sorted(policy.columns)}, got"
            f" {closed[0]!r}"
        )
    return wanted


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
