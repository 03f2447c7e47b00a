"""Labels that are classes: `patient` and `control` in a table, numbers in a network."""

from collections.abc import Sequence

from fedbrain.data.tables import is_missing, parse_number, parse_value, same_value


def parse_label(text: str, column: str, classes: Sequence[str]) -> float | None:
    """A label as a number; None where missing.

    The name of a class is its place in `classes`: as it is written, in other capitals, as the same
    number (`1.0` for `1`) or the same sex (`male` for `M`). Where the names are words, or the
    numbers from 0, a number is a place too.

    Args:
      text: the cell.
      column: of the cell; without names M and F become 1 and 0 in a column of sexes.
      classes: names in the order of their numbers; empty: the label is a number.

    >>> groups = ("control", "patient")
    >>> parse_label("Patient", "group", groups), parse_label("0", "group", groups)
    (1.0, 0.0)

    Raises:
      ValueError: when the cell is neither a class nor a missing value.
    """
    if not classes:
        return parse_value(text, column)
    cell = text.strip()
    if cell in classes:
        return float(classes.index(cell))
    if is_missing(cell):
        return None
    alike = [k for k, name in enumerate(classes) if _alike(name, cell)]
    if len(alike) == 1:
        return float(alike[0])
    counted = _are_numbers(classes)
    try:
        if counted:
            return parse_value(text, column)
        if not any(map(_is_number, classes)):
            return parse_number(text)
    except ValueError:
        pass
    example = " Name the classes in config.loss: \"cross_entropy(('control', 'patient'))\""
    raise ValueError(
        f"expected one of the classes {', '.join(classes)}, or n/a, got {text!r}."
        + (example if counted else "")
    )


def _alike(name: str, cell: str) -> bool:
    return name.lower() == cell.lower() or same_value(name, cell)


def _are_numbers(classes: Sequence[str]) -> bool:
    """Whether classes have no names but their numbers."""
    return list(classes) == [str(k) for k in range(len(classes))]


def _is_number(name: str) -> bool:
    try:
        return parse_number(name) is not None
    except ValueError:
        return False
