"""Which settings a tuned study tries: as many for every method, drawn from a grid.

A method's grid is the product of the values of `tune.fields` and of its own of `tune.methods`. Of a
grid with more than `tune.trials` points so many are drawn, the same at every call.

References:
  Bergstra and Bengio (2012), https://jmlr.org/papers/v13/bergstra12a.html
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedbrain.experiments.spec import at_least
from fedbrain.experiments.study import Cell, composed

TUNABLE = ("algorithm", "client", "server")  # groups of fields that a method may be tuned in
Settings = dict[str, Any]  # field, with dots -> value


def is_tuned(config: Any) -> bool:
    """Whether a study has trials.

    Args:
      config: of the study.
    """
    return at_least("tune.trials", config.tune.trials, 0) > 0


def trial_cells(config: Any) -> list[Cell]:
    """Every setting of every method under every attack.

    Args:
      config: of the study.

    Raises:
      ValueError: naming the field, for values that cannot be tried.
    """
    settings = {method: settings_of(config, method) for method in config.methods}
    return [
        tried(config, method, attack, setting)
        for attack in config.attacks
        for method in config.methods
        for setting in settings[method]
    ]


def tried(config: Any, method: str, attack: str, settings: Settings, **more: Any) -> Cell:
    """The cell of a method under an attack with other settings.

    Args:
      config: of the study.
      method: its name.
      attack: its name.
      settings: from `settings_of`.
      more: further fields of the cell.
    """
    overrides = [(attack, config.attacks[attack]), (method, config.methods[method])]
    changed = composed(config, [*overrides, (f"tune, {method}", nested(settings))])
    return Cell(method, attack, changed, settings, **more)


def settings_of(config: Any, method: str, tunable: Sequence[str] = TUNABLE) -> list[Settings]:
    """The settings tried for a method, in the order of its grid.

    Args:
      config: of the study.
      method: its name.
      tunable: groups of fields that it may be tuned in.

    Raises:
      ValueError: naming the field, for values that are no tuple, and for a grid of fewer points
        than trials.
    """
    trials = at_least("tune.trials", config.tune.trials, 2)
    points: list[Settings] = []
    grids = _grids(config.tune.to_dict(), method, tunable)
    if not any(grids):
        raise ValueError(f"config.tune.fields: expected fields to tune {method!r} in, got none.")
    for point in _samplers().ParameterGrid(grids):
        if point not in points:  # a value may be given twice
            points.append(dict(sorted(point.items())))
    if len(points) < trials:
        raise ValueError(
            f"config.tune.trials: expected at most the {len(points)} settings that config.tune"
            f" gives {method!r}, since every method has equally many, got {trials}."
        )
    each = [{field: [value] for field, value in point.items()} for point in points]
    drawn = list(_samplers().ParameterSampler(each, trials, random_state=config.seed))
    return [point for point in points if point in drawn]


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the nested dictionary that a method is.

    >>> nested({"client.optimizer": "sgd(0.1)", "client.steps": 2})
    {'client': {'optimizer': 'sgd(0.1)', 'steps': 2}}
    """
    tree: dict[str, Any] = {}
    for field, value in settings.items():
        *groups, name = field.split(".")
        inner = tree
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = value
    return tree


def _grids(tune: Mapping[str, Any], method: str, tunable: Sequence[str]) -> list[dict[str, list]]:
    """The grids of a method: the common values, changed by each of its own dictionaries."""
    common = dict(_values(tune["fields"], "tune.fields", tunable))
    own = tune["methods"].get(method, {})
    alternatives = own if isinstance(own, tuple | list) else (own,)
    where = f"tune.methods[{method!r}]"
    return [common | dict(_values(one, where, tunable)) for one in alternatives]


def _values(
    fields: Any, where: str, tunable: Sequence[str], prefix: str = ""
) -> Iterator[tuple[str, list]]:
    """(field, with dots; its values) of a nested dictionary whose ends are tuples of values."""
    if not isinstance(fields, Mapping):
        raise ValueError(f"config.{where}: expected a dictionary of fields, got {fields!r}.")
    for name, value in fields.items():
        field = f"{prefix}{name}"
        if field.split(".")[0] not in tunable:
            raise ValueError(
                f"config.{where}: expected fields of {', '.join(tunable)}, got {field!r}."
            )
        if isinstance(value, Mapping):
            yield from _values(value, where, tunable, f"{field}.")
        elif isinstance(value, tuple | list) and value:
            yield field, list(value)
        else:
            raise ValueError(
                f"config.{where}: expected a tuple of the values tried of {field}, got {value!r}."
            )


def _samplers() -> Any:
    try:
        import sklearn.model_selection
    except ImportError:
        raise ValueError(
            "config.tune.trials: tuning needs scikit-learn: in a clone of fedbrain, pip install -e"
            " '.[study]'."
        ) from None
    return sklearn.model_selection
