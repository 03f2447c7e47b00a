"""Subjects are cut by hash, stratified, and never on two sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedbrain.data.dataset import Scans, concatenate, data_fingerprint, shape_of, take
from fedbrain.data.partition import by_site, by_target
from fedbrain.data.regimes import REGIMES
from fedbrain.data.splits import Fractions, pick, split_scans


def _scans(n=60, sessions=1, prefix="sub", shape=(2, 2, 2)) -> Scans:
    subjects = tuple(f"{prefix}-{i:03d}" for i in range(n) for _ in range(sessions))
    ids = tuple(f"{s}_ses-{k % sessions}" for k, s in enumerate(subjects))
    age = np.repeat(np.linspace(20, 80, n), sessions).astype(np.float32)
    return Scans(ids, subjects, age, [np.full((*shape, 1), k, np.float32) for k in range(len(ids))])


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(15, 90),
    sessions=st.integers(1, 3),
    repeat=st.integers(0, 7),
    inner=st.integers(0, 4),
    fractions=st.sampled_from([(0.2, 0.2), (0.1, 0.2), (0.15, 0.25), (0.1, 0.1)]),
)
def test_no_subject_is_on_two_sides_and_none_is_lost(n, sessions, repeat, inner, fractions):
    scans = _scans(n, sessions)
    split = split_scans(scans, Fractions(*fractions), seed=1, repeat=repeat, inner=inner)
    sides = [set(part.subjects) for part in (split.train, split.valid, split.test)]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])
    assert sum(len(p) for p in (split.train, split.valid, split.test)) == len(scans)
    assert abs(len(sides[2]) - fractions[1] * n) <= 0.1 * n + 1


def test_repeats_rotate_through_a_cross_validation():
    scans = _scans()
    tests = [
        set(split_scans(scans, Fractions(0.2, 0.2), seed=0, repeat=r).test.subjects)
        for r in range(5)
    ]
    assert sorted(s for t in tests for s in t) == sorted(scans.subjects)
    again = set(split_scans(scans, Fractions(0.2, 0.2), seed=0, repeat=5).test.subjects)
    assert again not in tests


def test_inner_splits_change_validation_and_never_test():
    splits = [split_scans(_scans(), Fractions(0.2, 0.2), seed=0, inner=i) for i in range(4)]
    assert len({s.test.ids for s in splits}) == 1
    valid = [set(s.valid.subjects) for s in splits]
    assert not any(a & b for i, a in enumerate(valid) for b in valid[:i])


def test_a_site_regenerates_its_split_in_any_order_of_files():
    scans = _scans()
    shuffled = take(scans, np.random.default_rng(0).permutation(len(scans)).tolist())
    for part in ("train", "valid", "test"):
        one, two = (getattr(split_scans(s, Fractions(), seed=3), part) for s in (scans, shuffled))
        assert set(one.subjects) == set(two.subjects)
    assert data_fingerprint(scans) == data_fingerprint(shuffled)
    assert data_fingerprint(scans) != data_fingerprint(take(scans, range(59)))


def test_stratified_by_target():
    split = split_scans(_scans(100), Fractions(), seed=0)
    for part in (split.valid, split.test):
        assert abs(part.target.mean() - 50) < 2
        assert len(part) == 20
        assert np.histogram(part.target, 4, (20, 80))[0].tolist() == [5, 5, 5, 5]


def _men_and_women(seed):
    """90 people, 27 of them men, who are older; two sessions each."""
    rng = np.random.default_rng(seed)
    scans = _scans(90, 2)
    of_person = rng.permutation([1.0] * 27 + [0.0] * 63)
    ages = np.zeros(90)
    for k, count in ((0, 63), (1, 27)):
        ages[of_person == k] = rng.permutation(np.linspace(20, 60, count)) + 20 * k
    sex, age = (np.repeat(x, 2).astype(np.float32) for x in (of_person, ages))
    return replace(scans, target=age, columns={"sex": sex})


def _of_sexes(split):
    """Sex -> ages of test people."""
    test = split.test
    return {k: test.target[test.columns["sex"] == k][::2] for k in (0, 1)}


@pytest.mark.parametrize("seed", range(5))
def test_stratified_by_sex_and_age(seed):
    scans = _men_and_women(seed)
    fractions, everybody = Fractions(0.2, 0.2), {k: [] for k in (0, 1)}
    for repeat in range(5):
        split = split_scans(scans, fractions, seed=3, repeat=repeat, stratify="sex,target")
        assert not set(split.test.subjects) & set(split.train.subjects)
        women, men = _of_sexes(split).values()
        assert len(women) in (12, 13)
        assert len(men) in (5, 6)
        assert abs(women.mean() - 40) < 3
        assert abs(men.mean() - 60) < 6
        for k, ages in _of_sexes(split).items():
            everybody[k] += ages.tolist()
    assert (len(everybody[0]), len(everybody[1])) == (63, 27)


def test_one_column_is_the_target_and_an_unknown_one_is_refused():
    scans = _men_and_women(0)
    one, other = (split_scans(scans, Fractions(), seed=0, stratify=s) for s in ("", "target"))
    assert one.test.ids == other.test.ids
    with pytest.raises(ValueError, match="expected a column 'site'"):
        split_scans(scans, Fractions(), seed=0, stratify="site,target")


def test_too_few_subjects_or_impossible_fractions():
    with pytest.raises(ValueError, match="is empty"):
        split_scans(_scans(2), Fractions(), seed=0)
    with pytest.raises(ValueError, match="valid"):
        split_scans(_scans(), Fractions(0.5, 0.5), seed=0)


def test_pick_nobody():
    assert not pick(["a", "b"], np.zeros(2), 0.0, seed="x").any()


def test_simulated_hospitals_have_different_ages_and_keep_subjects_together():
    scans = _scans(90, sessions=2)
    hospitals = by_target(clients=3, overlap=0.3)({"all": scans})
    means = [h.target.mean() for h in hospitals.values()]
    assert means == sorted(means)
    assert means[2] - means[0] > 25
    subjects = [set(h.subjects) for h in hospitals.values()]
    assert sum(map(len, subjects)) == 90
    assert sum(map(len, hospitals.values())) == 180
    assert hospitals["hospital1"].target.max() > hospitals["hospital2"].target.min()
    assert by_site()({"all": scans})["all"] is scans


def test_two_sites_with_the_same_ids_are_other_people():
    hospitals = by_target(clients=2, overlap=0.0)({"a": _scans(10), "b": _scans(10)})
    assert [len(h) for h in hospitals.values()] == [10, 10]
    assert hospitals["hospital1"].target.max() <= hospitals["hospital2"].target.min()


def test_regimes_are_partitions_of_the_same_training_data():
    splits = {n: split_scans(_scans(30, prefix=n), Fractions(), seed=0) for n in ("a", "b")}
    for name, regime in REGIMES.items():
        federations = regime(splits)
        if name == "leave_one_site_out":
            continue
        trained = sorted(i for f in federations for m in f.clients.values() for i in m.train.ids)
        assert trained == sorted(i for s in splits.values() for i in s.train.ids), name
        assert {site for f in federations for site in f.model_of_site} == set(splits)
    assert [len(REGIMES[n](splits)) for n in ("federated", "centralised", "local")] == [1, 1, 2]


def test_a_site_that_is_left_out_neither_trains_nor_validates():
    splits = {n: split_scans(_scans(n=20, prefix=n), Fractions(), seed=0) for n in "cab"}
    federations = REGIMES["leave_one_site_out"](splits)
    assert [f.name for f in federations] == ["without-c", "without-a", "without-b"]
    for federation in federations:
        [(site, model)] = federation.model_of_site.items()
        assert set(federation.clients) == set("abc") - {site}
        assert model in federation.clients
        for name, client in federation.clients.items():
            assert client.train is splits[name].train
            assert client.valid is splits[name].valid


def test_views_and_shapes():
    both = concatenate([_scans(3), take(_scans(4, prefix="x"), [2, 0])])
    assert both.ids[-1] == "x-000_ses-0"
    assert both.volumes[3][0, 0, 0] == 2
    with pytest.raises(ValueError, match="one shape"):
        shape_of([_scans(2), _scans(2, shape=(3, 3, 3))])
    with pytest.raises(ValueError, match="at least one usable scan"):
        shape_of([_scans(0)])


def test_people_of_unknown_sex_are_a_class_and_an_unknown_age_is_refused():
    scans = _men_and_women(0)
    sex, age = scans.columns["sex"].copy(), scans.target.copy()
    sex[:10], age[-4:] = np.nan, np.nan
    sex[10] = np.nan  # of one of this person's two scans
    some = replace(scans, columns={"sex": sex, "age": age})
    tested = [
        split_scans(some, Fractions(0.2, 0.2), seed=3, repeat=k, stratify="sex,target").test
        for k in range(5)
    ]
    unknown = [int(np.isnan(test.columns["sex"][::2]).sum()) for test in tested]
    assert sum(unknown) == 6  # five people, and one scan of another
    assert max(unknown) < 3
    sentence = "expected a value of 'age' for everybody, got none for 2 of 90 people. Leave them"
    with pytest.raises(ValueError, match=sentence):
        split_scans(some, Fractions(), seed=0, stratify="sex,age")
    with pytest.raises(ValueError, match=r"there are: age, sex, target \(target: the label itself"):
        split_scans(some, Fractions(), seed=0, stratify="sex,centre")
