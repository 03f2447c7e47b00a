"""What is predicted: raw, standardised at each site, or relative to a country's norm."""

import numpy as np
import pytest

from fedbrain.data.dataset import Scans
from fedbrain.data.inputs import design, scaled
from fedbrain.data.scan_report import Report
from fedbrain.data.splits import Fractions, split_scans
from fedbrain.data.synthetic.people import sdmt_norm
from fedbrain.data.targets import TARGETS, regression_norm


def _scans(target, **columns):
    ids = tuple(f"s{i}" for i in range(len(target)))
    columns = {name: np.asarray(values, np.float32) for name, values in columns.items()}
    return Scans(
        ids, ids, np.asarray(target, np.float32), [np.zeros((1, 1, 1, 1))] * len(target), columns
    )


def test_the_czech_norm_by_hand():
    """67.18 - 2.0145e-4 age^3 + 2.3585e-6 age^4 + 3.865 [education >= 16], SD 8.34."""
    _, norm = regression_norm(
        "prague",
        8.34,
        67.18,
        powers={"age": (0.0, 0.0, -2.0145e-4, 2.3585e-6)},
        at_least={"education_years": (16, 3.865)},
    )
    ages, education = [30.0, 60.0, 60.0], [12, 12, 16]
    expected = [(50 - sdmt_norm(a, e)[0]) / 8.34 for a, e in zip(ages, education)]
    out = norm(
        _scans([50, 50, 50], age=ages, education_years=education), Report("here", found=3, kept=3)
    )
    np.testing.assert_allclose(out.target, expected, rtol=1e-4)


def test_people_without_a_norm_are_left_out_with_a_sentence():
    report = Report("here", found=2, kept=2)
    out = regression_norm("a", 1.0, powers={"age": (1.0,)})[1](
        _scans([50, 50], age=[30, np.nan]), report
    )
    assert out.ids == ("s0",)
    assert report.kept == 1
    assert "s1" in str(report.as_dict())
    with pytest.raises(ValueError, match=r"config.norms: expected a column 'age', got \[\]"):
        regression_norm("a", 1.0, powers={"age": (1.0,)})[1](_scans([50]), Report("here"))
    with pytest.raises(ValueError, match="Expected sd=-1.0 > 0"):
        regression_norm("a", -1.0)


def test_standardised_by_the_sites_own_training_scans():
    rng = np.random.default_rng(0)
    split = split_scans(_scans(rng.normal(40, 10, 50)), Fractions(0.2, 0.2), seed=0)
    out = TARGETS["z_score"]()(split)
    assert out.train.target.mean() == pytest.approx(0, abs=1e-5)
    assert out.train.target.std() == pytest.approx(1, rel=1e-5)
    mean, sd = split.train.target.mean(), split.train.target.std()
    np.testing.assert_allclose(
        out.test.target, (split.test.target - mean) / sd, rtol=1e-4, atol=1e-5
    )
    assert TARGETS["raw"]()(split) is split
    with pytest.raises(ValueError, match="expected targets that differ"):
        TARGETS["z_score"]()(split_scans(_scans([5.0] * 30), Fractions(0.2, 0.2), seed=0))


def test_two_targets_of_the_same_people_give_the_same_split():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 60)
    splits = [
        split_scans(_scans(target, age=age), Fractions(0.2, 0.2), seed=0, stratify="age")
        for target in (age, rng.normal(40, 10, 60))
    ]
    assert splits[0].test.ids == splits[1].test.ids
    with pytest.raises(ValueError, match="config.splits.stratify: expected a column 'sex'"):
        split_scans(_scans(age), Fractions(0.2, 0.2), seed=0, stratify="sex")


def test_covariates_are_scaled_by_constants():
    scans = _scans([1, 2], age=[35, np.nan], sex=[0, 1])
    out = design(scans, dict([scaled("age", 50.0, 15.0), scaled("sex", 0.5)]))
    np.testing.assert_allclose(out, [[-1, -0.5], [0, 0.5]])
    with pytest.raises(ValueError, match="expected a column 'education' at every site"):
        design(scans, dict([scaled("education")]))
