"""Every way to divide people: sizes and shares in closed form, nobody lost or doubled."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fedbrain.data.dataset import take
from fedbrain.data.dirichlet import classes_of
from fedbrain.data.partition import PARTITIONS, shards
from fedbrain.data.people import rounded
from fedbrain.data.scanner_shift import Scanned, scanner
from tests.data.test_splits_and_partition import _scans


def _sites(n=60):
    """Two sites whose people have the same ids; of each, two scans, one after the other."""
    first, second = _scans(n, sessions=2), _scans(n // 2, sessions=2)
    return {"bern": first, "lyon": replace(second, target=second.target + np.float32(0.37))}


def _ages(hospital):
    return sorted(set(hospital.target.tolist()))


@pytest.mark.parametrize("name", PARTITIONS)
def test_nobody_is_lost_doubled_or_divided(name):
    sites = _sites()
    hospitals = PARTITIONS[name]()(sites)
    scans = [(i, float(t)) for s in sites.values() for i, t in zip(s.ids, s.target)]
    dealt = [(i, float(t)) for h in hospitals.values() for i, t in zip(h.ids, h.target)]
    assert sorted(dealt) == sorted(scans)
    for hospital in hospitals.values():
        sessions = [i.endswith("ses-0") for i in hospital.ids]
        assert sum(sessions) * 2 == len(sessions)
    people = [set(zip(h.target.tolist(), h.subjects)) for h in hospitals.values()]
    assert sum(map(len, people)) == len(set().union(*people)) == 90
    again = PARTITIONS[name]()(sites)
    assert {k: h.ids for k, h in again.items()} == {k: h.ids for k, h in hospitals.items()}


@pytest.mark.parametrize("name", sorted(set(PARTITIONS) - {"by_site"}))
def test_the_number_of_clients_is_what_is_asked_for_and_the_order_of_scans_is_nothing(name):
    scans = _scans(40)
    hospitals = PARTITIONS[name](clients=4)({"all": scans})
    assert list(hospitals) == [f"hospital{k}" for k in (1, 2, 3, 4)]
    order = np.random.default_rng(0).permutation(40).tolist()
    mixed = PARTITIONS[name](clients=4)({"all": take(scans, order)})
    for k, hospital in hospitals.items():
        assert set(hospital.subjects) == set(mixed[k].subjects)


def test_shards_are_runs_of_the_sorted_people():
    scans = _scans(60)
    hospitals = shards(clients=3, each=2, seed=1)({"all": scans})
    everybody = sorted(scans.target.tolist())
    runs = [everybody[k : k + 10] for k in range(0, 60, 10)]
    held = [[run for run in runs if set(run) <= set(_ages(h))] for h in hospitals.values()]
    assert [len(own) for own in held] == [2, 2, 2]
    assert sorted(run for own in held for run in own) == runs
    apart = shards(clients=3, each=1)({"all": scans})
    ends = sorted((min(_ages(h)), max(_ages(h))) for h in apart.values())
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(ends))
    assert [len(h) for h in shards(clients=2, each=2)({"all": _scans(7)}).values()] in (
        [4, 3], [3, 4],
    )  # fmt: skip


def test_sizes_are_the_rounded_shares_of_the_first_draw_that_leaves_nobody_alone():
    """The oracle: the draws themselves, and the nearest whole numbers with the same total."""
    again = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet([0.7, 0.7, 0.7])
        while min(rounded(shares, 90)) < 10:
            shares, again = rng.dirichlet([0.7, 0.7, 0.7]), again + 1
        dealt = PARTITIONS["dirichlet_sizes"](alpha=0.7, seed=seed, fewest=10)({"all": _scans(90)})
        sizes = np.array([len(h) for h in dealt.values()])
        assert sizes.sum() == 90
        assert np.abs(sizes - 90 * shares).max() < 1
    assert again > 0
    even = PARTITIONS["dirichlet_sizes"](alpha=1e7)({"all": _scans(90)})
    assert [len(h) for h in even.values()] == [30, 30, 30]


def test_labels_follow_a_draw_for_every_class():
    scans = _scans(100)
    hospitals = PARTITIONS["dirichlet_labels"](alpha=1.0, bins=4, seed=3, fewest=1)({"all": scans})
    rng, everybody = np.random.default_rng(3), np.sort(scans.target)
    for band in np.split(everybody, 4):
        counts = np.array([sum(t in band for t in h.target) for h in hospitals.values()])
        expected = 25 * rng.dirichlet(np.ones(3))
        assert counts.sum() == 25
        assert np.abs(counts - expected).max() < 1
    alike = PARTITIONS["dirichlet_labels"](alpha=1e7, bins=4)({"all": _scans(120)})
    assert [len(h) for h in alike.values()] == [40, 40, 40]
    means = [h.target.mean() for h in alike.values()]
    assert max(means) - min(means) < 6  # ten of each of four bands of 15 years


def test_classes_are_values_where_there_are_few():
    sexes = {f"p{k}": float(k % 2) for k in range(6)}
    assert classes_of(sexes, 5) == [["p0", "p2", "p4"], ["p1", "p3", "p5"]]
    scans = replace(_scans(40), columns={"sex": np.arange(40, dtype=np.float32) % 2})
    by_sex = PARTITIONS["dirichlet_labels"](clients=2, alpha=0.5, column="sex")({"all": scans})
    assert sum(len(h) for h in by_sex.values()) == 40


def test_whole_numbers_nearest_to_shares():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        shares, total = rng.dirichlet(np.full(5, 0.4)), int(rng.integers(1, 60))
        counts = rounded(shares, total)
        assert sum(counts) == total
        assert np.abs(np.array(counts) - shares * total).max() < 1


def test_scanners_change_voxels_of_the_brain_by_their_formula_and_nothing_else():
    rng = np.random.default_rng(0)
    volumes = rng.normal(size=(30, 3, 4, 5, 1)).astype(np.float32)
    volumes[:, 0] = 0  # outside the brain
    scans = replace(_scans(30), volumes=list(volumes))
    hospitals = PARTITIONS["by_scanner"](clients=3, strength=2.0)({"all": scans})
    for k, t in enumerate((-1.0, 0.0, 1.0)):
        hospital = hospitals[f"hospital{k + 1}"]
        assert len(hospital) == 10
        for i, subject in enumerate(hospital.subjects):
            x = volumes[int(subject[-3:])].astype(np.float64)
            along = np.linspace(-1, 1, x.shape[k])
            shape = [1, 1, 1, 1]
            shape[k] = -1
            new = np.exp(0.6 * t) * x * (1 + 0.6 * t * along.reshape(shape)) + 0.6 * t
            expected = np.where(x == 0, 0, np.clip(new, -5, 5))
            np.testing.assert_allclose(hospital.volumes[i], expected, atol=1e-5)
    none = PARTITIONS["by_scanner"](strength=0.0)({"all": scans})
    for hospital in none.values():
        for i, subject in enumerate(hospital.subjects):
            np.testing.assert_array_equal(hospital.volumes[i], volumes[int(subject[-3:])])
    missing = Scanned([np.full((2, 2, 2, 1), np.nan, np.float32)], scanner(2, 3, 1.0))
    assert np.isnan(missing[0]).all()


def test_what_cannot_be_divided_is_one_sentence():
    scans = {"all": _scans(6)}
    for name in ("dirichlet_sizes", "dirichlet_labels"):
        with pytest.raises(ValueError, match="at least 5 people at each of 6 hospitals, got fewer"):
            PARTITIONS[name](clients=6)(scans)
    with pytest.raises(ValueError, match=r"people at every hospital, got \[.*0.*\]. Choose fewer"):
        shards(clients=4, each=2)({"all": _scans(3)})
    with pytest.raises(ValueError, match="expected a column 'sex' with a value for every scan"):
        PARTITIONS["dirichlet_labels"](column="sex")(scans)
    for name, arguments in (
        ("dirichlet_sizes", {"alpha": 0.0}),
        ("dirichlet_labels", {"bins": 1}),
        ("shards", {"each": 0}),
        ("by_scanner", {"strength": -1.0}),
    ):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            PARTITIONS[name](**arguments)
