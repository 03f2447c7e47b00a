"""Accuracy, balanced accuracy, AUC and confusion of classes: by hand, and as scikit-learn's."""

import math

import numpy as np
import pytest

from fedbrain.analysis import classification, grid_table, shares
from fedbrain.analysis.claims import ALL, paired, sentence
from fedbrain.analysis.classification import accuracy, macro, pooled_accuracy, pooled_difference
from fedbrain.analysis.intervals import by_person
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.ranks import area, area_interval
from fedbrain.analysis.results import summarise
from fedbrain.analysis.results_table import render_table
from tests.analysis import coverage_classes
from tests.analysis.coverage import coverage

NAMES = ("F", "M", "X")


def of_classes(target, said, k=2, subjects=None, site="s"):
    """Predictions that put each scan into a class with probability .6."""
    probability = np.full((len(said), k), 0.4 / (k - 1), np.float32)
    probability[np.arange(len(said)), said] = 0.6
    floor = np.tile(np.eye(k, dtype=np.float32)[0], (len(said), 1))
    subjects = [f"{site}{i}" for i in range(len(said))] if subjects is None else subjects
    return Predictions(subjects, np.asarray(target, np.float32), probability, floor, NAMES[:k])


def random(n=60, k=3, seed=0, digits=1, site="s"):
    """Probabilities with few digits, so that there are ties."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + 0.8 * np.eye(k)[target]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = of_classes(target, target, k, site=site)
    return p._replace(prediction=np.round(shares, digits).astype(np.float32))


def test_a_confusion_matrix_by_hand():
    m = accuracy(of_classes([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2], k=3))
    assert m["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert m["accuracy"] == pytest.approx(4 / 6)
    assert m["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert m["floor_accuracy"] == 0.5
    assert m["confusion_95"][0][0] == pytest.approx(shares.exact(2 / 3, 3))
    assert (m["n"], m["subjects"]) == (6, 6)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_numbers_of_scikit_learn_with_ties(k, seed):
    metrics = pytest.importorskip("sklearn.metrics")
    p = random(k=k, seed=seed)
    said, m = p.prediction.argmax(1), accuracy(p)
    assert m["accuracy"] == pytest.approx(metrics.accuracy_score(p.target, said))
    balanced = metrics.balanced_accuracy_score(p.target, said)
    assert m["balanced_accuracy"] == pytest.approx(balanced)
    assert m["confusion"] == metrics.confusion_matrix(p.target, said).tolist()
    of_each = [metrics.roc_auc_score(p.target == j, p.prediction[:, j]) for j in range(k)]
    assert m["auc"] == pytest.approx(np.mean(of_each))
    if k == 3:  # scikit-learn asks for sums of exactly 1
        whole = p.prediction.astype(float) / p.prediction.sum(1, keepdims=True, dtype=float)
        expected = metrics.roc_auc_score(p.target, whole, multi_class="ovr")
        scaled = accuracy(p._replace(prediction=whole))["auc"]
        assert scaled == pytest.approx(expected)


def test_a_perfect_and_a_constant_predictor():
    target = [0] * 10 + [1] * 10
    perfect = accuracy(of_classes(target, target))
    for name in classification.MEANS:
        low, high = perfect[f"{name}_95"]
        assert perfect[name] == high == 1, name
        assert 0.6 < low < 0.9, name
    constant = accuracy(of_classes(target, [0] * 20))
    assert [constant[name] for name in classification.MEANS] == [0.5, 0.5, 0.5]
    assert constant["floor_accuracy"] == 0.5
    one_class = accuracy(of_classes([0] * 9, [0] * 9))
    assert one_class["accuracy"] == 1
    assert math.isnan(one_class["auc"])
    assert math.isnan(one_class["balanced_accuracy"])
    assert np.isnan(one_class["confusion_95"][1]).all()


def test_people_count_once_where_all_their_scans_agree():
    """Ten copies of every scan change neither a number nor an interval."""
    once = random(40, k=2, digits=3)
    tenfold = once._replace(
        subjects=[s for s in once.subjects for _ in range(10)],
        **{k: np.repeat(getattr(once, k), 10, 0) for k in ("target", "prediction", "floor")},
    )
    first, second = accuracy(once), accuracy(tenfold)
    for name in classification.MEANS:
        assert second[name] == pytest.approx(first[name])
        assert second[f"{name}_95"] == pytest.approx(first[f"{name}_95"])
    assert (second["n"], second["subjects"]) == (400, 40)


def test_scans_that_differ_lie_between_people_and_scans():
    hits = np.random.default_rng(0).integers(0, 2, 200)
    people = [f"s{i // 5}" for i in range(200)]
    assert 150 < shares.effective_scans([by_person(hits, people)]) <= 200
    assert shares.effective_scans([by_person(np.repeat(hits[:40], 5), people)]) == 40


def test_intervals_by_hand():
    """Of all and no trials in closed form; of half of them from tables."""
    assert shares.exact(1.0, 10) == pytest.approx((0.025 ** (1 / 10), 1))
    assert shares.exact(0.0, 20) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))
    assert shares.exact(0.5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert shares.weighted([0.9], [(0.7, 1.0)], [1.0]) == pytest.approx((0.7, 1))
    together = shares.weighted([0.9, 0.5], [(0.7, 1.0), (0.3, 0.6)], [1.0, -1.0], correlation=1.0)
    assert together == pytest.approx((0.4 - 0.1, 0.4 - 0.1 + 0.2))


def test_the_interval_of_an_area():
    """Its ends are z standard errors away, as Hanley and McNeil's exponential model has them."""
    low, high = area_interval(0.8, 30, 50)
    for theta in (low, high):
        q = 39 * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * (1 + q) / 1500
        assert abs(theta - 0.8) == pytest.approx(1.96 * math.sqrt(variance), rel=1e-4)
    assert area_interval(0.2, 50, 30) == pytest.approx((1 - high, 1 - low), rel=1e-6)
    assert area(np.ones(5), np.asarray([True, False, True, False, False])) == 0.5


def test_sites_together_and_apart():
    a, b = random(30, k=2, seed=1, site="a"), random(90, k=2, seed=2, site="b")
    each = {"a": accuracy(a), "b": accuracy(b)}
    pooled = pooled_accuracy([a, b])
    weighted = (30 * each["a"]["accuracy"] + 90 * each["b"]["accuracy"]) / 120
    assert pooled["accuracy"] == pytest.approx(weighted)
    assert pooled["auc"] == pytest.approx(accuracy(concatenate([a, b]))["auc"])
    both = macro(each)
    assert both["auc"] == pytest.approx((each["a"]["auc"] + each["b"]["auc"]) / 2)
    low, high = both["accuracy_95"]
    assert low < both["accuracy"] < high
    nobody = accuracy(of_classes([0] * 9, [0] * 9, site="c"))
    assert macro({**each, "c": nobody})["auc"] == pytest.approx(both["auc"])


def test_paired_differences():
    target = np.arange(40) % 2
    good, bad = (
        of_classes(target, np.where(np.arange(40) < n, target, 1 - target)) for n in (38, 20)
    )
    d = pooled_difference([good], [bad])
    assert d["accuracy_difference"] == pytest.approx(18 / 40)
    assert 0 < d["accuracy_difference_95"][0] < 18 / 40 < d["accuracy_difference_95"][1] < 1
    same = pooled_difference([good], [good])["accuracy_difference_95"]
    assert same[0] <= 0 <= same[1] < 0.15
    with pytest.raises(ValueError, match="the same scans"):
        pooled_difference([good], [bad._replace(target=1 - bad.target)])


def test_results_and_table():
    def repeat(seed):
        sites = {s: {"test": random(30, k=2, seed=seed, site=s)} for s in "ab"}
        return {"federated": sites, "local": sites}

    results = summarise([repeat(0), repeat(1)], [{}], [{}])
    results |= {"unit": "class", "synthetic": True, "classes": ["F", "M"]}
    assert results["regimes"]["federated"]["over_repeats"]["repeats"] == 2
    text = render_table(results)
    for words in ("accuracy", "balanced", "AUC", "put into M", "no clear difference", "2 splits"):
        assert words in text, words
    for words in ("MAE", "age gap", "nan"):
        assert words not in text, words


def _seeds(right):
    """Predictions of 40 people at two sites by three models, of which so many are right."""
    target = np.arange(40) % 2
    return [
        {
            site: of_classes(target, np.where(np.arange(40) < n, target, 1 - target), site=site)
            for site in "ab"
        }
        for n in right
    ]


def test_a_grid_of_classes():
    good, bad = _seeds([36, 38, 40]), _seeds([20, 21, 22])
    measured = grid_table.measure(good, {"a": 100, "b": 300})
    assert measured["by_images"]["accuracy"] == pytest.approx(38 / 40)
    assert measured["by_images"]["seeds"] == [0.9, 1.0]
    text = grid_table.render({"federated": measured}, {})
    assert "accuracy" in text
    assert "MAE" not in text
    difference = paired(good, bad)[ALL]
    assert (difference.better, difference.holds) == (3, True)
    said = sentence("x", "y", difference, "class")
    assert "x is right more often than y: +0.42 (95 %" in said
    assert "3 of 3 seeds above 0" in said
    assert not paired(bad, bad)[ALL].holds
    assert "is right less often" in sentence("y", "x", paired(bad, good)[ALL], "class")


@pytest.mark.slow
@pytest.mark.parametrize("name", coverage_classes.CASES)
def test_intervals_cover_what_they_should(name):
    """2,000 draws each; `python -m tests.analysis.coverage_classes` prints them."""
    assert coverage(coverage_classes.CASES[name]) >= coverage_classes.LEAST
