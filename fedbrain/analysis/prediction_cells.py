"""A prediction and a target as cells of a table: numbers, or names of classes and probabilities."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

CLASS = "class_"  # before the name of a class: the column of its probabilities


def prediction_columns(classes: Sequence[str]) -> list[str]:
    """Columns of a prediction; those of classes are in the order of their numbers.

    >>> prediction_columns(("F", "M"))
    ['prediction', 'class_F', 'class_M']
    """
    return ["prediction", *(f"{CLASS}{name}" for name in classes)]


def prediction_cells(
    value: Float[np.ndarray, "*k"] | np.floating, classes: Sequence[str], form: str
) -> list[str]:
    """The cells of one scan: a number, or its likeliest class and all probabilities.

    >>> prediction_cells(np.array([0.25, 0.75]), ("F", "M"), ".3f")
    ['M', '0.250', '0.750']
    """
    numbers = [format(float(x), form) for x in np.atleast_1d(np.asarray(value))]
    return [classes[int(np.argmax(value))], *numbers] if classes else numbers


def target_cell(value: Any, classes: Sequence[str], form: str) -> str:
    """A target: a number or the name of a class; n/a where it is not known.

    >>> target_cell(1.0, ("F", "M"), ".3f"), target_cell(math.nan, (), ".3f")
    ('M', 'n/a')
    """
    if not math.isfinite(value):
        return "n/a"
    is_class = value in range(len(classes))
    return classes[int(value)] if is_class else format(float(value), form)


def class_names(columns: Sequence[str]) -> tuple[str, ...]:
    """The classes of a table, from its columns.

    >>> class_names(["prediction", "class_F", "class_M"])
    ('F', 'M')
    """
    return tuple(name.removeprefix(CLASS) for name in columns if name.startswith(CLASS))
