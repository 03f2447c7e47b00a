"""How fast this machine computes a layer, measured."""

import time
from collections.abc import Callable
from typing import Any

import jax

REPEATS = 2  # of which the fastest counts


def seconds_of(function: Callable[..., Any], *arguments: Any) -> float:
    """The shortest time of a few calls, after one that compiles.

    Args:
      function: to be compiled.
      arguments: of it.

    >>> seconds_of(lambda x: x + 1, jax.numpy.zeros(3)) > 0
    True
    """
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(*arguments))
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(time.perf_counter() - began)
    return min(times)
