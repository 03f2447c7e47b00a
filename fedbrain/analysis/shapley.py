"""Contribution of each client to a federation, from the values of coalitions.

    leave one out   phi_i = V(N) - V(N without i)
    Shapley         phi_i = mean over orders of V(those before i, and i) - V(those before i)
    GTG-Shapley     the same over sampled orders, each of which ends as soon as V is nearly V(N)

V is a function of a set of clients: the accuracy, or minus the error, of the model that they train
together.

References:
  Shapley (1953), https://doi.org/10.1515/9781400881970-018
  Liu et al. (2022), GTG-Shapley, https://arxiv.org/abs/2109.02053
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from math import factorial

import numpy as np

Value = Callable[[frozenset[str]], float | np.ndarray]
MOST_EXACT = 6  # clients: 64 coalitions


def leave_one_out(value: Value, clients: Sequence[str]) -> dict[str, np.ndarray]:
    """The loss of value without each client: one coalition more than there are clients.

    Args:
      value: V.
      clients: names.

    >>> game = {"": 0, "a": 1, "b": 2, "ab": 5}
    >>> {k: int(v) for k, v in leave_one_out(lambda s: game["".join(sorted(s))], "ab").items()}
    {'a': 3, 'b': 4}
    """
    everyone = frozenset(clients)
    whole = np.asarray(value(everyone))
    return {name: np.asarray(whole - value(everyone - {name})) for name in clients}


def shapley(value: Value, clients: Sequence[str]) -> dict[str, np.ndarray]:
    """Exact Shapley values: 2^n coalitions, for at most `MOST_EXACT` clients.

    Args:
      value: V.
      clients: names.

    >>> game = {"": 0, "a": 1, "b": 2, "ab": 5}
    >>> {k: float(v) for k, v in shapley(lambda s: game["".join(sorted(s))], "ab").items()}
    {'a': 2.0, 'b': 3.0}
    """
    n = len(clients)
    if n > MOST_EXACT:
        raise ValueError(
            f"Expected at most {MOST_EXACT} clients for exact values, got {n}: use gtg_shapley."
        )
    value = cache(value)
    values = {}
    for name in clients:
        others = [c for c in clients if c != name]
        total = np.zeros(())
        for size in range(n):
            share = factorial(size) * factorial(n - size - 1) / factorial(n)
            for before in combinations(others, size):
                with_client = np.asarray(value(frozenset({*before, name})))
                total = total + share * (with_client - value(frozenset(before)))
        values[name] = np.asarray(total)
    return values


def gtg_shapley(
    value: Value,
    clients: Sequence[str],
    *,
    tolerance: float,
    seed: int,
    orders: int = 200,
    settled: float = 0.05,
) -> dict[str, np.ndarray]:
    """Shapley values from sampled orders; every client leads equally often.

    Args:
      value: V, a number.
      clients: names.
      tolerance: an order ends when |V(N) - V(so far)| is below it, in units of V.
      seed: of the orders.
      orders: at most.
      settled: stops when values changed by less than this share over the last ten orders.
    """
    rng = np.random.default_rng(seed)
    value = cache(value)
    n = len(clients)
    whole = float(value(frozenset(clients)))
    sums = np.zeros(n)
    means = []  # of every number of orders
    for k in range(orders):
        lead = k % n
        others = [i for i in range(n) if i != lead]
        order: list[int] = [lead, *rng.permutation(others).tolist()]
        coalition: frozenset[str] = frozenset()
        before = float(value(coalition))
        for i in order:
            if abs(whole - before) < tolerance:
                break  # the others add nothing
            coalition = coalition | {clients[i]}
            after = float(value(coalition))
            sums[i] += after - before
            before = after
        means.append(sums / (k + 1))
        if k >= max(10, 2 * n):
            change = np.abs(means[-1] - means[-11]).max()
            if change < settled * np.abs(means[-1]).max():
                break
    return {name: np.asarray(v) for name, v in zip(clients, means[-1])}
