"""Errors by groups of people: right, and never of fewer than five, however rows are subtracted."""

from itertools import combinations

import numpy as np
import pytest

from fedbrain.analysis.columns import NUMBERS
from fedbrain.analysis.groups import ALL, Grouping, by_group
from fedbrain.analysis.groups_table import render_groups
from fedbrain.analysis.predictions import Predictions, take
from fedbrain.analysis.statistics import accuracy
from fedbrain.data.bands import classes, histogram

SEX = classes("sex", 0, 1)[1]
AGE = histogram("age", 20, 80, 3)[1]


def _site(name, counts, *, without=0, scans=1, seed=0):
    """(predictions, person -> class) of a site with so many people in each class."""
    each = [k for k, n in enumerate(counts) for _ in range(n)]
    people = [f"{name}/{i}" for i in range(len(each) + without)]
    subjects = [p for p in people for _ in range(scans)]
    target, error = np.random.default_rng(seed).normal(50, 10, (2, len(subjects)))
    floor = np.full(len(subjects), 50.0)
    numbers = (x.astype(np.float32) for x in (target, target + error, floor))
    return Predictions(subjects, *numbers), dict(zip(people, each))


def _grouped(bands, **sites):
    """`by_group` of sites given as counts or as what `_site` returns."""
    parts = {k: s if isinstance(s, tuple) else _site(k, s) for k, s in sites.items()}
    people = {p: k for _, classes in parts.values() for p, k in classes.items()}
    return by_group({k: p for k, (p, _) in parts.items()}, Grouping(bands, people))


def _counts(rows):
    return [(m["low"], m["high"], m["subjects"]) for m in rows]


def test_the_error_of_a_group_is_that_of_its_people_alone():
    p, people = _site("a", [9, 11], scans=3)
    rows = by_group({"a": p}, Grouping(SEX, people))["a"]
    chosen = np.asarray([people[s] == 1 for s in p.subjects])
    expected = accuracy(take(p, chosen))
    assert {k: rows[1][k] for k in ("n", "mae", "mae_95", "floor_mae")} == {
        k: expected[k] for k in ("n", "mae", "mae_95", "floor_mae")
    }
    assert _counts(rows) == [(0, 0, 9), (1, 1, 11)]


def test_small_classes_are_merged_and_pooled_has_the_classes_of_all_sites():
    told = _grouped(AGE, a=[9, 9, 9], b=[9, 2, 7], c=[2, 2, 1])
    assert _counts(told["a"]) == [(20, 40, 9), (40, 60, 9), (60, 80, 9)]
    assert _counts(told["b"]) == [(20, 40, 9), (40, 80, 9)]
    assert told["c"] == []
    assert _counts(told[ALL]) == [(20, 40, 18), (40, 80, 27)]  # without c


def test_sites_of_few_people_are_told_of_together():
    told = _grouped(SEX, a=[3, 2], b=[2, 4], c=[1, 3])
    assert [told[s] for s in "abc"] == [[], [], []]
    assert _counts(told[ALL]) == [(0, 0, 6), (1, 1, 9)]
    assert _grouped(SEX, a=[2, 1])[ALL] == []


@pytest.mark.parametrize("without", [0, 1, 4, 5])
def test_one_to_four_people_without_a_value_are_not_had_by_subtraction(without):
    told = _grouped(SEX, a=_site("a", [9, 9], without=without))
    assert (told["a"] == []) == (told[ALL] == []) == (without in (1, 4))


def test_no_class_or_difference_of_sites_has_one_to_four_people():
    rng = np.random.default_rng(0)
    for _ in range(200):
        sites = {k: rng.integers(0, 12, 3).tolist() for k in "abc"}
        told = _grouped(AGE, **{k: v for k, v in sites.items() if sum(v)})
        intervals = {}
        for site, rows in told.items():
            edges = sorted({m["low"] for m in rows} | {m["high"] for m in rows})
            for low, high in combinations(edges, 2):
                inside = [m for m in rows if low <= m["low"] and m["high"] <= high]
                intervals[site, low, high] = sum(m["subjects"] for m in inside)
        assert not any(0 < n < 5 for n in intervals.values()), sites
        for (_, low, high), total in [(k, n) for k, n in intervals.items() if k[0] == ALL]:
            of_sites = [
                n for (s, a, b), n in intervals.items() if s != ALL and (a, b) == (low, high)
            ]
            for r in range(len(of_sites) + 1):
                for some in combinations(of_sites, r):
                    assert total - sum(some) not in (1, 2, 3, 4), sites


def test_the_table_names_groups_and_sites_that_are_not_told_of():
    groups = {"sex": {"federated": _grouped(SEX, a=[9, 6], b=[3, 1])}}
    text = "\n".join(render_groups(groups, NUMBERS))
    told = ("a, female", "a, male", "pooled, male", "not told of b", "by chance")
    for words in ("MAE by sex", *told):
        assert words in text
    text = "\n".join(render_groups({"scanner": groups["sex"]}, NUMBERS))
    assert "a, scanner 0" in text
    assert "pooled, scanner 1" in text
    assert render_groups({}, NUMBERS) == []
