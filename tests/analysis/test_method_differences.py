"""Differences of methods over seeds, by hand and by scipy; how often Holm's correction errs."""

import math

import numpy as np
import pytest
from scipy import stats

from fedbrain.analysis import method_differences
from fedbrain.analysis.method_differences import differences, holm, note, render

N = np.array([[1.0, 3.0]] * 3)
SKIPPED = np.zeros(3)
FLOOR = "floor"


def cell(scores):
    return np.asarray(scores, float), N, SKIPPED


def test_overall_and_by_client_as_by_hand():
    cells = {
        ("a", "none"): cell([[2, 4], [3, 5], [4, 9]]),
        ("b", "none"): cell([[1, 4], [1, 4], [1, 4]]),
        (FLOOR, "none"): cell([[0, 0]] * 3),
    }
    (one,) = differences(cells, ["p", "q"], ["b"], floor=FLOOR)
    overall = np.array([0.25, 1.25, 4.5])
    assert one.mean == pytest.approx(overall.mean())
    assert one.p == pytest.approx(stats.ttest_1samp(overall, 0).pvalue)
    assert one.interval == pytest.approx(tuple(stats.ttest_1samp(overall, 0).confidence_interval()))
    assert one.holm == one.p
    assert one.clients["p"][0] == pytest.approx(2.0)
    text = render([one])
    assert "a - b" in text
    assert text.count("\n") == 3
    assert "p +2.00 (-0.48 to +4.48), q +2.00 (-4.57 to +8.57)" in text


def test_clients_that_differ_alike_have_one_line():
    """Ten clients that test the server's model on the same examples."""
    same = np.repeat([[90.0], [91.0], [93.0]], 10, axis=1), np.ones((3, 10)), SKIPPED
    less = same[0] - np.array([[1.0], [2.0], [1.5]]), np.ones((3, 10)), SKIPPED
    cells = {("a", "none"): same, ("b", "none"): less}
    (one,) = differences(cells, [f"c{k}" for k in range(10)], ["b"], floor=FLOOR)
    assert not one.clients
    assert len(render([one]).splitlines()) == 3


def test_holm_as_in_the_definition():
    p = [0.04, 0.001, 0.03, math.nan]
    np.testing.assert_allclose(holm(p), [0.06, 0.003, 0.06, math.nan])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_note_says_how_many_are_corrected_for():
    rng = np.random.default_rng(0)
    cells = {(m, a): cell(rng.normal(size=(3, 2))) for m in "abcd" for a in ("none", "flip")}
    found = differences(cells, ["p", "q"], ["a"], floor=FLOOR)
    assert len(found) == 6
    assert "for the 3 methods compared with one reference" in note(found)
    two = differences({k: tuple(x[:2] for x in v) for k, v in cells.items()}, ["p", "q"], ["a"],
                      floor=FLOOR)  # fmt: skip
    assert all(math.isnan(one.p) for one in two)
    assert render(two).count("n/a") == 3 * 6 + 12


def test_one_error_in_twenty_families_of_eleven_methods_and_five_seeds():
    """No method differs. Without correction two families in five have a false difference."""
    rng, families = np.random.default_rng(1), 2000
    reference = rng.normal(size=(families, 1, 5))
    d = rng.normal(size=(families, 11, 5)) - reference
    p = stats.ttest_1samp(d, 0, axis=-1).pvalue
    plain = (p.min(1) < 0.05).mean()
    corrected = np.mean([min(holm(one)) < 0.05 for one in p.tolist()])
    assert plain > 0.25
    assert corrected < 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)
    first = method_differences.p_of_no_difference(d[0, 0])
    assert first == pytest.approx(p[0, 0])


def test_the_t_interval_of_five_seeds_covers_what_percentiles_do_not():
    rng, draws = np.random.default_rng(2), 2000
    samples = rng.normal(7, 1, (draws, 5))
    t = [method_differences.over_seeds(x) for x in samples]
    covered = np.mean([low <= 7 <= high for low, high in t])
    resampled = samples[:, rng.integers(0, 5, (500, 5))].mean(-1)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    percentile = ((low <= 7) & (high >= 7)).mean()
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / draws)
    assert percentile < 0.88
