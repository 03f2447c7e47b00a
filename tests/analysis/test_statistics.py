"""Metrics from sums, bootstrap by subject, age gap and its correction, paired differences."""

import numpy as np
import pytest
from scipy import stats

from fedbrain.analysis.age_gap import age_gap, fit
from fedbrain.analysis.metrics import add, regression_metrics, regression_sums
from fedbrain.analysis.regression import regime_results
from fedbrain.analysis.results import summarise
from fedbrain.analysis.results_table import render_table
from fedbrain.analysis.statistics import (
    Predictions,
    accuracy,
    concatenate,
    difference,
    person_means,
    pooled_accuracy,
)


def _predictions(n=200, seed=0, slope=1.0, noise=5.0, prefix="s") -> Predictions:
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n).astype(np.float32)
    y = (50 + slope * (age - 50) + rng.normal(0, noise, n)).astype(np.float32)
    return Predictions([f"{prefix}{i}" for i in range(n)], age, y, np.full(n, 50, np.float32))


def test_no_interval_of_an_error_goes_below_0():
    """Eight people, one of whom is far off: the bootstrap-t and the t interval would."""
    p = _predictions(8)
    far = p._replace(prediction=p.target + np.asarray([0.01] * 7 + [900.0], np.float32))
    low, high = accuracy(far)["mae_95"]
    assert 0 <= low < accuracy(far)["mae"] < high
    results = regime_results({"a": {"valid": p, "test": far}, "b": {"valid": p, "test": p}})
    assert results["macro"]["mae_95"][0] == 0


def test_sums_of_two_clients_are_the_metrics_of_both():
    a, b = _predictions(50, 1), _predictions(80, 2)
    both = concatenate([a, b])
    m = regression_metrics(add(*(regression_sums(p.target, p.prediction) for p in (a, b))))
    e = both.prediction.astype(float) - both.target
    assert m["mae"] == pytest.approx(np.abs(e).mean())
    assert m["rmse"] == pytest.approx(np.sqrt((e**2).mean()))
    assert m["r"] == pytest.approx(stats.pearsonr(both.target, both.prediction)[0], rel=1e-4)
    assert m["r2"] == pytest.approx(
        1 - (e**2).sum() / ((both.target - both.target.mean()) ** 2).sum(), rel=1e-4
    )


def test_metrics_without_spread_or_subjects_are_nan_and_not_an_error():
    m = regression_metrics(regression_sums(np.asarray([5.0, 5.0]), np.asarray([6.0, 6.0])))
    assert m["mae"] == 1
    assert np.isnan(m["r"])
    assert np.isnan(m["r2"])
    assert regression_metrics(regression_sums(np.zeros(0), np.zeros(0)))["n"] == 0


def test_the_interval_covers_the_truth():
    """Of 60 samples of 200, about 95 % of intervals hold the MAE of N(0, 5), 5 sqrt(2 / pi)."""
    truth = 5 * np.sqrt(2 / np.pi)
    hits = [
        low < truth < high
        for low, high in (accuracy(_predictions(seed=s))["mae_95"] for s in range(60))
    ]
    assert 0.85 < np.mean(hits) <= 1


def test_scans_of_one_person_are_no_evidence_of_a_correlation():
    """Five scans a person of predictions that know nothing: p below .05 in 5 of 100 samples, by
    scans it was in 37. r of single scans is that of scipy.
    """
    rng = np.random.default_rng(0)
    people = [f"s{k}" for k in range(20) for _ in range(5)]
    ps = []
    for _ in range(600):
        age, said = (np.repeat(rng.normal(size=20), 5).astype(np.float32) for _ in range(2))
        noise = rng.normal(0, 0.3, 100).astype(np.float32)
        ps.append(accuracy(Predictions(people, age, said + noise, age))["p"])
    assert 0.03 < np.mean(np.asarray(ps) < 0.05) < 0.07
    p, m = _predictions(30), accuracy(_predictions(30))
    expected = stats.pearsonr(p.target, p.prediction)
    low, high = expected.confidence_interval()
    assert [m["r"], m["p"]] == pytest.approx(list(expected), rel=1e-3)
    assert m["r_95"] == pytest.approx([low, high], rel=1e-3)


def test_a_person_of_several_seeds_counts_once_in_r():
    seeds = [_predictions(30, noise=k + 5.0) for k in range(3)]
    mean = seeds[0]._replace(prediction=np.mean([p.prediction for p in seeds], axis=0))
    together = accuracy(concatenate(seeds))
    assert (together["n"], together["subjects"]) == (90, 30)
    assert together["r"] == pytest.approx(accuracy(mean)["r"], rel=1e-5)
    assert together["p"] == pytest.approx(accuracy(mean)["p"], rel=1e-3)


def test_people_are_drawn_within_their_site():
    """Two sites whose errors do not vary inside: together, nothing is uncertain."""
    a, b = _predictions(20, prefix="a"), _predictions(20, prefix="b")
    a, b = (p._replace(prediction=p.target + np.float32(e)) for p, e in ((a, 1), (b, 4)))
    m = pooled_accuracy([a, b])
    assert m["mae"] == pytest.approx(2.5, abs=1e-5)
    assert m["mae_95"] == pytest.approx([2.5, 2.5], abs=1e-4)


def _sums(p):
    return regression_sums(*person_means(p))


def test_bias_correction_is_fitted_on_validation_only_from_sums():
    """Predictions shrunk to half: the slope of the gap is -.5, after correction about 0."""
    valid, test = (
        _predictions(400, 1, slope=0.5, noise=1.0),
        _predictions(400, 2, slope=0.5, noise=1.0),
    )
    gap = age_gap(test, _sums(valid))
    assert gap["slope"] == pytest.approx(-0.5, abs=0.02)
    for name in ("corrected_slope", "de_lange_corrected_slope"):
        assert gap[name] == pytest.approx(0, abs=0.03)
    assert gap["correction_slope"] == pytest.approx(0.5, abs=0.02)
    assert gap["correction_slope"] == pytest.approx(
        np.polyfit(valid.target, valid.prediction, 1)[0], rel=1e-5
    )
    assert gap["de_lange_corrected_mae"] < gap["corrected_mae"]  # it knows the true age
    halves = [_predictions(400, 1, slope=0.5, noise=1.0) for _ in range(2)]
    halves = [
        h._replace(subjects=h.subjects[k::2], target=h.target[k::2], prediction=h.prediction[k::2])
        for k, h in enumerate(halves)
    ]
    assert fit(add(*map(_sums, halves))) == pytest.approx(
        fit(_sums(valid))
    )  # two sites' sums are one cohort's
    shifted = test._replace(prediction=test.prediction + 100)
    assert age_gap(shifted, _sums(valid))["correction_intercept"] == gap["correction_intercept"]


def test_a_correction_says_how_uncertain_it_is():
    """Errors of the line as those of scipy; a line of more people makes narrower intervals."""
    test = _predictions(400, 2, slope=0.5)
    few, many = (_predictions(n, 3, slope=0.5) for n in (25, 400))
    target, prediction = person_means(few)
    expected = stats.linregress(target, prediction)
    line = fit(_sums(few))
    assert line.slope_se == pytest.approx(expected.stderr, rel=1e-6)
    offset_se = np.hypot(line.height_se, line.slope_se * line.centre)
    assert offset_se == pytest.approx(expected.intercept_stderr, rel=1e-6)
    wide, narrow = (age_gap(test, _sums(p)) for p in (few, many))
    for name in ("corrected_slope_95", "corrected_mean_95", "correction_slope_95"):
        assert np.diff(wide[name]) > 1.5 * np.diff(narrow[name]), name


def test_a_line_of_fewer_than_20_people_is_not_used():
    scans = _predictions(38, slope=0.5)
    scans = scans._replace(subjects=[f"s{k // 2}" for k in range(38)])  # 19 people
    gap = age_gap(_predictions(40), _sums(scans))
    assert gap["correction_people"] == 19
    assert np.isnan(gap["corrected_mae"])
    assert np.isnan(gap["corrected_slope_95"]).all()
    assert np.isfinite(gap["slope"])


def test_a_flat_fit_is_not_inverted():
    flat = _predictions(30, slope=0.0, noise=0.0)
    assert np.isnan(age_gap(flat, _sums(flat))["corrected_mae"])
    unsure = _predictions(30, slope=0.07, noise=5.0)  # flatter, perhaps, than what is inverted
    line, gap = fit(_sums(unsure)), age_gap(unsure, _sums(unsure))
    assert line.slope > 0.05 > line.slope - line.slope_se
    assert np.isnan([gap["corrected_mae"], gap["corrected_slope"], gap["corrected_mean"]]).all()
    assert np.isfinite(gap["de_lange_corrected_mae"])


def test_paired_differences():
    good, bad = _predictions(noise=2.0), _predictions(noise=8.0)
    d = difference(good, bad)
    assert d["mae_difference"] < d["mae_difference_95"][1] < 0
    assert difference(good, good)["mae_difference_95"] == [0, 0]
    with pytest.raises(ValueError, match="the same scans"):
        difference(good, _predictions(seed=5))


def test_results_and_table():
    def repeat(seed):
        sites = {
            n: {
                "valid": _predictions(40, seed + 9, prefix=n),
                "test": _predictions(30, seed, prefix=n),
            }
            for n in "ab"
        }
        return {"federated": sites, "local": sites}

    results = summarise([repeat(0), repeat(1)], [{}], [{}])
    pooled = results["regimes"]["federated"]["pooled"]
    assert (pooled["n"], pooled["subjects"]) == (120, 60)
    assert results["regimes"]["federated"]["over_repeats"]["repeats"] == 2
    assert results["comparisons"]["federated - local"]["mae_difference"] == 0
    macro = results["regimes"]["federated"]["macro"]["mae"]
    assert macro == pytest.approx(
        np.mean([c["mae"] for c in results["regimes"]["federated"]["clients"].values()])
    )
    text = render_table(results | {"unit": "years", "synthetic": True})
    assert text.startswith("SYNTHETIC")
    assert "no clear difference" in text
    assert "over 2 splits" in text
    assert "nan" not in text


def test_what_is_not_defined_is_not_a_number_in_the_table():
    flat = _predictions(3, slope=0.0, noise=0.0)
    results = summarise([{"federated": {"a": {"valid": flat, "test": flat}}}], [{}], [{}])
    text = render_table(results | {"unit": "years", "synthetic": False})
    assert "n/a" in text
    assert "nan" not in text
