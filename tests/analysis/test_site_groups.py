"""Errors of groups as numbers that sites tell: those of `by_group`; what no site can have told."""

import math

import numpy as np
import pytest

from fedbrain.analysis.groups import Grouping, by_group
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.site_groups import names_of, read_numbers, to_numbers, together
from fedbrain.data.bands import histogram

COLUMN, BANDS = histogram("age", 20, 80, bins=6)


def _tests(site, ages, seed):
    names = [f"{site}/sub-{k}" for k in range(len(ages))]
    target = np.asarray(ages, np.float32)
    error = np.random.default_rng(seed).normal(size=len(ages)).astype(np.float32)
    return Predictions(names, target, target + error, np.full_like(target, 50))


@pytest.fixture(scope="module")
def sites():
    rng = np.random.default_rng(0)
    return {
        "amber": _tests("amber", rng.uniform(20, 80, 60), 1),
        "birch": _tests("birch", np.r_[rng.uniform(20, 35, 30), rng.uniform(60, 80, 30)], 2),
        "cedar": _tests("cedar", rng.uniform(20, 80, 6), 3),  # tells of no classes
    }


@pytest.fixture(scope="module")
def grouping(sites):
    people = {
        subject: int(np.clip((age - 20) // 10, 0, 5))
        for tests in sites.values()
        for subject, age in zip(tests.subjects, tests.target)
    }
    return Grouping(BANDS, people)


def test_rows_are_those_of_all_predictions_but_for_intervals_over_all_sites(sites, grouping):
    numbers = {
        site: to_numbers(COLUMN, BANDS, by_group({site: p}, grouping)[site])
        for site, p in sites.items()
    }
    assert all(set(told) <= set(names_of({COLUMN: BANDS})) for told in numbers.values())
    found, expected = together(COLUMN, BANDS, numbers), by_group(sites, grouping)
    assert found["cedar"] == []
    for site in sites:
        assert found[site] == expected[site]
    assert len(found["pooled"]) == len(expected["pooled"]) > 2
    for ours, theirs in zip(found["pooled"], expected["pooled"]):
        for name in ("low", "high", "n", "subjects"):
            assert ours[name] == theirs[name]
        for name in ("mae", "floor_mae"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-6)
        assert all(map(math.isnan, ours["mae_95"]))


def test_no_class_of_fewer_people_than_a_site_asks_for_is_told(sites, grouping):
    rows = by_group({"amber": sites["amber"]}, grouping, fewest=20)["amber"]
    assert min(row["subjects"] for row in rows) >= 20


@pytest.mark.parametrize(
    "change", [{"age 0: until": 3.0}, {"age 0: until": 9.0}, {"age 0: n": 0.5}, {"age 0: n": -3.0}]
)
def test_classes_that_cannot_be_are_refused(change):
    told = {"age 0: until": 1.0, "age 1: until": 6.0}
    told |= {f"age {k}: {name}": 7.0 for k in (0, 1) for name in ("n", "subjects", "mae")}
    assert len(read_numbers(COLUMN, BANDS, told)) == 2
    with pytest.raises(ValueError, match="age: expected classes with people"):
        read_numbers(COLUMN, BANDS, told | change)
