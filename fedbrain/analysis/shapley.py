"""What a hospital is worth to a federation: values of clients from values of coalitions.

    leave one out   phi_i = V(N) - V(N without i)
    Shapley         phi_i = mean over orders of V(those before i, and i) - V(those before i)
    GTG-Shapley     the same over sampled orders, each of which ends as soon as V is nearly V(N)

V is a function of a set of clients, for instance an accuracy or minus an error of the model they
train together.

References:
  Shapley (1953); Liu et al. (2022), GTG-Shapley, https://arxiv.org/abs/2109.02053
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from math import factorial

import numpy as np

Value = Callable[[frozenset[str]], float | np.ndarray]
MOST_EXACT = 6  # clients: 64 coalitions


def leave_one_out(value: Value, clients: Sequence[str]) -> dict[str, np.ndarray]:
    """What is lost without each client: one coalition more than there are clients."""
    everyone = frozenset(clients)
    whole = np.asarray(value(everyone))
    return {name: np.asarray(whole - value(everyone - {name})) for name in clients}


def shapley(value: Value, clients: Sequence[str]) -> dict[str, np.ndarray]:
    """Exact Shapley values: 2^n coalitions, for at most `MOST_EXACT` clients.

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
    found = {}
    for name in clients:
        others = [c for c in clients if c != name]
        total = np.zeros(())
        for size in range(n):
            share = factorial(size) * factorial(n - size - 1) / factorial(n)
            for some in combinations(others, size):
                total = total + share * (
                    np.asarray(value(frozenset({*some, name}))) - value(frozenset(some))
                )
        found[name] = np.asarray(total)
    return found


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
      settled: stops when the values of the last ten orders moved by less than this share.
    """
    rng, value, n = np.random.default_rng(seed), cache(value), len(clients)
    whole, sums, history = float(value(frozenset(clients))), np.zeros(n), []
    for k in range(orders):
        lead = k % n
        order = [lead, *rng.permutation([i for i in range(n) if i != lead]).tolist()]
        before, so_far = float(value(frozenset())), frozenset()
        for i in order:
            if abs(whole - before) < tolerance:
                break  # the rest adds nothing
            so_far = so_far | {clients[i]}
            after = float(value(so_far))
            sums[i] += after - before
            before = after
        history.append(sums / (k + 1))
        if (
            k >= max(10, 2 * n)
            and np.abs(history[-1] - history[-11]).max() < settled * np.abs(history[-1]).max()
        ):
            break
    return {name: np.asarray(v) for name, v in zip(clients, history[-1])}
