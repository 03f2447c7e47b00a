"""Tables from sums equal those of all people together; small counts are suppressed."""

import math

import numpy as np
import pytest
from scipy import stats

from fedbrain.data.dataset import Scans
from fedbrain.data.describe import (
    FEWEST,
    HISTOGRAMS,
    anova,
    chi_squared,
    describe,
    distances,
    moments,
    sums,
)

EDGES = tuple(float(e) for e in range(10, 101, 10))


@pytest.fixture
def sites():
    rng = np.random.default_rng(0)
    return [rng.normal(mean, 8, n).astype(np.float32) for mean, n in ((40, 90), (45, 60), (60, 30))]


def test_moments_of_all_sites_together(sites):
    everyone = np.concatenate(sites).astype(np.float64)
    m = moments([sums(s, EDGES) for s in sites])
    assert m.n == everyone.size
    assert m.mean == pytest.approx(everyone.mean(), rel=1e-9)
    assert m.sd == pytest.approx(everyone.std(ddof=1), rel=1e-9)
    assert m.people == 180
    far = moments(
        [sums(np.asarray([25.0] * 6 + [45.0] * 9 + [95.0] * 2 + [15.0] * 2, np.float32), EDGES)]
    )
    assert (far.low, far.high) == (20, 50)  # bins of few people are suppressed
    assert m.skewness == pytest.approx(stats.skew(everyone), rel=1e-6)


def test_analysis_of_variance_as_scipy(sites):
    expected = stats.f_oneway(*[s.astype(np.float64) for s in sites])
    test = anova([sums(s, EDGES) for s in sites])
    assert test.statistic == pytest.approx(expected.statistic, rel=1e-6)
    assert test.p == pytest.approx(expected.pvalue, rel=1e-4)
    assert test.degrees == (2, 177)
    assert math.isnan(anova([sums(sites[0], EDGES)]).p)


def test_chi_squared_as_scipy():
    counts = np.asarray([[30, 10], [20, 25], [0, 0]])
    expected = stats.chi2_contingency(counts[:2], correction=False)
    assert chi_squared(counts).p == pytest.approx(expected.pvalue)
    assert math.isnan(chi_squared(np.asarray([[3, 0], [4, 0]])).p)


def test_counts_below_five_are_not_told(sites):
    for summary, site in ((sums(s, EDGES), s) for s in sites):
        true = np.histogram(np.clip(site, EDGES[0], EDGES[-1]), EDGES)[0]
        assert all(c == 0 or c >= FEWEST for c in summary.counts)
        few = ((true > 0) & (true < FEWEST)).sum()
        assert summary.suppressed == (2 if few == 1 else few)
    assert sum(sums(s, EDGES).suppressed for s in sites) > 0


def test_a_single_small_count_takes_another_one_with_it():
    """Otherwise n minus the others would tell it."""
    name, edges = HISTOGRAMS["classes"]("sex", 0, 1)
    assert (name, edges) == ("sex", (-0.5, 0.5, 1.5))
    summary = sums(np.asarray([0] * 3 + [1] * 20, np.float32), edges)
    assert (summary.counts, summary.suppressed) == ((0, 0), 2)
    assert sums(np.asarray([0] * 9 + [1] * 20, np.float32), edges).counts == (9, 20)
    with pytest.raises(ValueError, match="at least two values that increase"):
        HISTOGRAMS["classes"]("sex", 1)


def test_unknown_values_are_missing_and_a_site_without_a_column_misses_all():
    ids = ("a_1", "b_1", "b_2")
    scans = Scans(
        ids, ("a", "b", "b"), np.asarray([20, np.nan, 40], np.float32), [np.zeros((1, 1, 1, 1))] * 3
    )
    summary = describe(scans, {"target": EDGES, "age": EDGES})
    assert (summary["target"].n, summary["target"].people, summary["target"].missing) == (2, 2, 1)
    assert (summary["age"].n, summary["age"].people, summary["age"].missing) == (0, 0, 3)
    assert sums(np.ones(3, np.float32), EDGES, ("a", "b", "b")).people == 2
    assert math.isnan(moments([summary["age"]]).mean)


def test_distances():
    """Moved by one bin: 10 units of earth moving; nothing in common: 1; the same: 0."""
    a, b = (sums(np.full(20, x, np.float32), EDGES) for x in (25.0, 35.0))
    assert distances(a, b) == {"earth_mover": pytest.approx(10), "jensen_shannon": pytest.approx(1)}
    assert distances(a, a) == {"earth_mover": 0, "jensen_shannon": 0}
    with pytest.raises(ValueError, match="same edges"):
        distances(a, sums(np.ones(3, np.float32), (0.0, 1.0)))
    with pytest.raises(ValueError, match="Expected edges that increase"):
        sums(np.ones(3, np.float32), (1.0, 1.0))
