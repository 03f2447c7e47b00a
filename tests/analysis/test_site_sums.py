"""Pooled rows from sums are those over everybody's predictions, where sums can tell."""

import math

import numpy as np
import pytest

from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.regression import regime_results
from fedbrain.analysis.site_sums import GAP, NAMES, gap_of, pooled, site_sums
from fedbrain.analysis.statistics import accuracy
from fedbrain.experiments.site_tables import gaps_of


def _predictions(rng, people, scans_each, site):
    names = [f"{site}/{k}" for k in range(people) for _ in range(scans_each)]
    age = np.repeat(rng.uniform(20, 80, people), scans_each).astype(np.float32)
    said = (0.6 * age + 18 + rng.normal(0, 5, len(names))).astype(np.float32)
    return Predictions(names, age, said, np.full(len(names), 50.0, np.float32), ())


@pytest.fixture(scope="module", params=[1, 2], ids=["a scan each", "two scans each"])
def of_sites(request):
    rng = np.random.default_rng(0)
    return {
        site: {
            part: _predictions(rng, people, request.param, site)
            for part, people in (("valid", valid), ("test", test))
        }
        for site, valid, test in (("amber", 12, 15), ("birch", 25, 10), ("cedar", 11, 20))
    }


def test_pooled_rows_are_those_of_all_predictions(of_sites):
    rows = {
        site: {**accuracy(parts["test"]), **site_sums(parts["test"], parts["valid"])}
        for site, parts in of_sites.items()
    }
    expected, found = regime_results(of_sites)["pooled"], pooled(rows)
    for name in ("n", "subjects", "mae", "rmse", "r2", "r", "floor_mae"):
        assert found[name] == pytest.approx(expected[name], rel=1e-9), name
    gap = expected["age_gap"]
    assert found["age_gap"]["correction_people"] == gap["correction_people"] == 48
    for name in ("slope", "corrected_slope"):
        assert found["age_gap"][name] == pytest.approx(gap[name], abs=1e-6)
        assert found["age_gap"][f"{name}_95"] == pytest.approx(gap[f"{name}_95"], abs=1e-5)
    assert math.isnan(found["age_gap"]["corrected_mae"])  # needs each person's error
    assert math.isnan(found["mae_95"][0])


def test_the_gap_of_a_site_is_that_of_its_predictions(of_sites):
    expected = regime_results(of_sites)["clients"]
    for site, parts in of_sites.items():
        told = site_sums(parts["test"], parts["valid"])
        assert set(told) == set(NAMES)
        for name in GAP:
            np.testing.assert_array_equal(gap_of(told)[name], expected[site]["age_gap"][name])


def test_a_line_of_few_people_corrects_nothing(of_sites):
    parts = of_sites["amber"]
    row = {**accuracy(parts["test"]), **site_sums(parts["test"], parts["valid"])}
    gap = pooled({"amber": row})["age_gap"]
    assert gap["correction_people"] == 12
    assert math.isnan(gap["corrected_slope"])
    assert math.isfinite(gap["slope"])


def test_gaps_are_in_the_order_of_the_rows(of_sites):
    parts = of_sites["amber"]
    told = {"sums": site_sums(parts["test"], parts["valid"])}
    rows = {"amber": told, "birch": told, "all test scans": {"age_gap": {"slope": 0.0}}}
    assert list(gaps_of(rows)) == list(rows)
    assert gaps_of({"amber": {"mae": 1.0}}) == {}
