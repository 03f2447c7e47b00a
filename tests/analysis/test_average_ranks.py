"""Average ranks over problems: scipy's Friedman, the tables of Demšar (2006), the figure."""

import numpy as np
import pytest
from scipy import stats

from fedbrain.analysis.average_ranks import alike, draw, ranks_of, render

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize("seed", range(20))
def test_friedman_is_that_of_scipy_with_and_without_ties(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4 if seed % 2 else 1000, (7, 4)).astype(float)
    ranks = ranks_of(scores, NAMES, [1] * 7)
    assert ranks.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert sum(ranks.average) == pytest.approx(4 * 5 / 2)


def test_the_critical_difference_is_that_of_demsar():
    """Section 3.2.2: k = 4 classifiers on N = 14 data sets, q = 2.569: CD = 1.25."""
    ranks = ranks_of(np.random.default_rng(0).normal(size=(14, 4)), NAMES, [1] * 14)
    assert ranks.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert round(ranks.critical, 2) == 1.25


def test_errors_and_accuracies_rank_the_same_way_and_divergence_ranks_last():
    accuracy = np.array([[90.0, 80.0, 70.0, np.nan]])
    scores = np.concatenate([accuracy, -accuracy])
    ranks = ranks_of(scores, NAMES, [1, -1])
    assert ranks.methods == NAMES
    assert ranks.average == [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(ValueError, match="3 methods or more in 2 problems or more"):
        ranks_of(accuracy, NAMES, [1])


def test_ten_problems_tell_apart_what_two_cannot(tmp_path):
    order = np.tile([4.0, 3.0, 2.0, 1.0], (10, 1))
    many, few = ranks_of(order, NAMES, [1] * 10), ranks_of(order[:2], NAMES, [1] * 2)
    assert alike(many) == [(0, 1), (1, 2), (2, 3)]
    assert alike(few) == [(0, 3)]
    assert "No two methods can differ by so much" in render(few)
    assert "Friedman: p <.001" in render(many)
    draw(tmp_path / "ranks.png", many, synthetic=True)
    assert (tmp_path / "ranks.png").stat().st_size > 1000


def test_all_tied_is_no_difference():
    assert ranks_of(np.ones((3, 4)), NAMES, [1] * 3).p == 1.0
