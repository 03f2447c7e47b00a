"""Ranges of the arguments of optax, which takes any number: a negative learning rate climbs. It
ignores Nesterov's step where there is no momentum.
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

RANGES = {  # argument -> (smallest, whether it may be that, what it must be below)
    "learning_rate": (0, False, math.inf),
    "weight_decay": (0, True, math.inf),
    "momentum": (0, True, 1),
    "beta": (0, True, 1),
    "b1": (0, True, 1),
    "b2": (0, True, 1),
    "eps": (0, True, math.inf),
    "max_norm": (0, False, math.inf),
}


def require_ranges(arguments: Mapping[str, Any]) -> None:
    """Refuses a number outside its range; other values pass.

    Args:
      arguments: name -> value.

    Raises:
      ValueError: naming the argument.

    >>> require_ranges({"learning_rate": 0.1, "momentum": None})
    """
    for name, value in arguments.items():
        if name not in RANGES or not isinstance(value, int | float):
            continue
        low, with_low, high = RANGES[name]
        if not (low < value < high or (with_low and value == low)):
            sign, end = "<=" if with_low else "<", "infinity" if high == math.inf else high
            raise ValueError(f"Expected {low} {sign} {name} < {end}, got {value}.")


def in_range(function: Callable) -> Callable:
    """The function, which refuses numbers outside their ranges.

    Args:
      function: of optax.

    >>> import optax
    >>> in_range(optax.sgd)(-0.1)
    Traceback (most recent call last):
    ValueError: Expected 0 < learning_rate < infinity, got -0.1.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        used = signature.bind(*args, **kwargs).arguments
        require_ranges(used)
        if used.get("nesterov") and "momentum" in signature.parameters and not used.get("momentum"):
            raise ValueError("Expected a momentum > 0 beside nesterov=True, got none.")
        return function(*args, **kwargs)

    return checked
