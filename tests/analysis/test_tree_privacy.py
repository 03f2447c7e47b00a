"""What one client moves the nodes of a tree by, against brute force over all that it could send."""

import itertools

import numpy as np
import pytest

from fedbrain.analysis.tree_privacy import nodes, tree_sensitivity


def written_out(t, start=0):
    """(first, last) of the nodes of rounds 1..t by the digits of t."""
    spans, first = [], start
    for height in reversed(range(12)):
        if t >> height & 1:
            spans.append((first + 1, first + 2**height))
            first += 2**height
    return spans


def matrix(rounds, restart_every):
    """C: a row for every node."""
    rows = {
        span
        for start in range(0, rounds, restart_every)
        for t in range(1, min(restart_every, rounds - start) + 1)
        for span in written_out(t, start)
    }
    at = np.arange(1, rounds + 1)
    return np.array([(at >= a) & (at <= b) for a, b in sorted(rows)], float)


@pytest.mark.parametrize(("rounds", "every"), [(1, 1), (7, 7), (8, 8), (13, 13), (13, 4), (12, 5)])
def test_the_nodes_are_those_that_some_sum_is_made_of(rounds, every):
    at = np.arange(1, rounds + 1)
    ours = {tuple((at >= a) & (at <= b)) for a, b in nodes(rounds, every)}
    assert ours == {tuple(row > 0) for row in matrix(rounds, every)}
    assert len(ours) == len(list(nodes(rounds, every)))


@pytest.mark.parametrize("every", [1, 3, 4, 8])
@pytest.mark.parametrize("turns", [1, 2, 3, 8])
@pytest.mark.parametrize("rounds", [1, 4, 7, 8])
def test_sensitivity_is_the_most_that_any_signs_reach(rounds, turns, every):
    """All vertices of what a client may send in one dimension, which is the worst one; beside them
    random unit vectors in three dimensions.
    """
    c, worst = matrix(rounds, every), 0.0
    ours = tree_sensitivity(rounds, restart_every=every, turns=turns)
    rng = np.random.default_rng(0)
    for offset in range(min(turns, rounds)):
        here = np.arange(rounds) % turns == offset
        for signs in itertools.product((-1.0, 1.0), repeat=int(here.sum())):
            sent = np.zeros(rounds)
            sent[here] = signs
            worst = max(worst, float(np.linalg.norm(c @ sent)))
        some = rng.normal(size=(50, rounds, 3))
        some *= here[:, None] / np.linalg.norm(some, axis=2, keepdims=True)
        assert np.linalg.norm(c @ some, axis=(1, 2)).max() <= ours + 1e-9
    assert ours == pytest.approx(worst, rel=1e-12)


@pytest.mark.parametrize("k", range(1, 9))
def test_closed_forms(k):
    n = 2**k
    assert tree_sensitivity(n, restart_every=n) ** 2 == pytest.approx(1.5 * n**2 - n / 2)
    assert tree_sensitivity(n - 1, restart_every=n) ** 2 == pytest.approx((n - 1) * n / 2)
    assert tree_sensitivity(n, restart_every=1) ** 2 == pytest.approx(n)
    assert tree_sensitivity(n, restart_every=n, turns=n) ** 2 == pytest.approx(k + 1)


def test_a_client_in_every_round_makes_a_tree_worse_than_noise_of_each_round_alone():
    """Variance of the last model at one epsilon: sensitivity^2 times nodes, against T times T."""
    for rounds in range(1, 130):
        tree = tree_sensitivity(rounds, restart_every=rounds) ** 2 * rounds.bit_count()
        assert tree >= rounds * rounds - 1e-6
    once = tree_sensitivity(64, restart_every=64, turns=64) ** 2
    assert once == pytest.approx(7)  # against 64 of noise of each round alone


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match=r"^Expected rounds, restart_every and turns >= 1"):
        tree_sensitivity(0, restart_every=1)
