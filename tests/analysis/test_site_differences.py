"""Tables from sums equal those of all people together; tests keep their rate of false alarms."""

import math

import numpy as np
import pytest
from scipy import stats

from fedbrain.analysis.data_table import compare_sites, render_data
from fedbrain.analysis.site_differences import (
    anova,
    chi_squared,
    common_counts,
    distances,
    moments,
)
from fedbrain.data.describe import classes, sums

EDGES = tuple(float(e) for e in range(10, 101, 10))


@pytest.fixture
def sites():
    rng = np.random.default_rng(0)
    return [rng.normal(mean, 8, n).astype(np.float32) for mean, n in ((40, 90), (45, 60), (60, 30))]


def test_moments_of_all_sites_together(sites):
    everyone = np.concatenate(sites).astype(np.float64)
    m = moments([sums(s, EDGES) for s in sites])
    assert (m.scans, m.people) == (180, 180)
    assert m.mean == pytest.approx(everyone.mean(), rel=1e-9)
    assert m.sd == pytest.approx(everyone.std(ddof=1), rel=1e-9)
    assert m.skewness == pytest.approx(stats.skew(everyone), rel=1e-6)
    assert math.isnan(moments([sums(np.full(3, np.nan, np.float32), EDGES)]).mean)
    near = moments([sums(np.asarray([25.0] * 6 + [45.0] * 9, np.float32), EDGES)])
    assert (near.low, near.high) == (20, 50)


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
    merged = np.asarray([[30, 10, 0], [20, 24, 1]])  # 1 of 85 people: fewer than 5 expected
    two = np.asarray([[30, 10], [20, 25]])
    assert chi_squared(merged).p == pytest.approx(chi_squared(two).p)


def _false_alarms(draw, sizes, *, edges=EDGES, draws=600):
    """Share of p < .05 where all sites are alike, of those tests that are defined."""
    rng = np.random.default_rng(1)
    ps = []
    for _ in range(draws):
        parts = [sums(draw(rng, n).astype(np.float32), edges) for n in sizes]
        ps.append(chi_squared(common_counts(parts)[1]).p)
    return np.mean(np.asarray(ps)[np.isfinite(ps)] < 0.05)


@pytest.mark.parametrize("sizes", [(30, 30), (300, 30), (90, 60, 30)])
def test_equal_sites_with_small_cells_are_called_different_in_5_of_100(sizes):
    """Counts below 5 sent as 0 gave 45 to 100 in 100 here. Merging asks a little of the test."""
    rate = _false_alarms(lambda rng, n: rng.normal(50, 15, n), sizes)
    assert 0.02 < rate < 0.065


def test_scans_of_the_same_people_are_no_evidence():
    """Five scans a person: the mean of sites and their bins, by people."""
    rng = np.random.default_rng(2)
    f, chi = [], []
    for _ in range(400):
        parts = []
        for site in "ab":
            age = rng.normal(50, 15, 30)
            people = [f"{site}{k}" for k in range(30) for _ in range(5)]
            parts.append(sums(np.repeat(age, 5).astype(np.float32), EDGES, people))
        f.append(anova(parts).p)
        chi.append(chi_squared(common_counts(parts)[1]).p)
    assert 0.02 < np.mean(np.asarray(f) < 0.05) < 0.08
    assert np.mean(np.asarray(chi) < 0.05) < 0.08


def test_sites_that_differ_are_called_different(sites):
    assert chi_squared(common_counts([sums(s, EDGES) for s in sites])[1]).p < 1e-6


def test_distances():
    """Moved by one bin: 10 units of earth moving; nothing in common: 1; the same: 0."""
    a, b = (sums(np.full(20, x, np.float32), EDGES) for x in (25.0, 35.0))
    assert distances(a, b) == {"earth_mover": pytest.approx(10), "jensen_shannon": pytest.approx(1)}
    assert distances(a, a) == {"earth_mover": 0, "jensen_shannon": 0}
    few = sums(np.full(3, 25.0, np.float32), EDGES)
    assert math.isnan(distances(a, few)["earth_mover"])


def test_the_table_says_what_is_withheld_and_merged():
    many = sums(np.asarray([25.0] * 12 + [45.0] * 2, np.float32), EDGES)
    few = sums(np.full(3, 25.0, np.float32), EDGES)
    text = render_data(compare_sites({"a": {"age": many}, "b": {"age": few}}))
    assert "b: fewer than 5 people have a value" in text
    assert "classes of fewer than 5 are merged" in text
    assert "nan" not in text
    assert "chi-squared" not in text


def test_sexes_are_told_in_words():
    edges = classes("sex", 0, 1)[1]
    a, b = (sums(np.asarray([0.0] * women + [1.0] * 7, np.float32), edges) for women in (9, 2))
    text = render_data(compare_sites({"a": {"sex": a}, "b": {"sex": b}}))
    assert "a: 9 female, 7 male" in text
    assert "mean: the share of male" in text
    assert "female, male" in text.splitlines()[1]
    assert "b: 2" not in text  # merged: fewer than 5
    assert "-0.5" not in text
    text = render_data(compare_sites({"a": {"scanner": a}}))
    assert "male" not in text
