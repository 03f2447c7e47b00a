"""Voxel-wise ComBat from sums against ComBat on one table of everybody, written anew."""

import numpy as np
import pytest

from fedbrain.data import combat, voxel_combat
from fedbrain.data.dataset import Scans
from fedbrain.data.shifted import shifted
from fedbrain.data.splits import Split
from fedbrain.data.voxel_combat import voxelwise
from fedbrain.experiments.harmonised_images import estimate

SIZES = {"amber": 30, "birch": 22, "cedar": 9}
SHAPE = (3, 4, 5, 1)
FLAT = (slice(0, 1),)  # a slice around the brain, 0 in everybody


def scans_of(name, seed, n, *, k=0):
    """Images with an effect of age and sex, and one of the site in every voxel."""
    rng, anatomy = np.random.default_rng(seed), np.random.default_rng(9)
    height, slopes = anatomy.normal(0, 1, SHAPE), anatomy.normal(0, 0.02, (2, *SHAPE))
    effect = np.random.default_rng(50 + k).normal(0.2 * k, 0.5, SHAPE)
    age = rng.uniform(20, 80 - 15 * k, n).astype(np.float32)
    sex = rng.integers(0, 2, n).astype(np.float32)
    noise = rng.normal(0, 0.7, (n, *SHAPE))
    y = height + np.tensordot(np.stack([age - 50, sex], 1), slopes, 1) + effect + noise
    y[(slice(None), *FLAT)] = 0
    ids = tuple(f"{name}{seed}-{i}" for i in range(n))
    return Scans(ids, ids, age, [v.astype(np.float32) for v in y], {"sex": sex})


@pytest.fixture
def splits():
    return {
        name: Split(*(scans_of(name, 10 * k + part, n, k=k) for part in range(3)))
        for k, (name, n) in enumerate(SIZES.items())
    }


def table(splits, part="train"):
    """Site -> (covariates, voxels) of everybody, in float64."""
    rows = {}
    for name, split in splits.items():
        scans = getattr(split, part)
        x = np.stack([scans.target, scans.columns["sex"]], 1).astype(np.float64)
        rows[name] = x, np.stack([np.ravel(v) for v in scans.volumes]).astype(np.float64)
    return rows


def pooled_shift(rows, varies):
    """Site -> its shift of voxels that vary, from one design of dummies and covariates, in loops
    over sites and closed forms of the normal prior.
    """
    names = list(rows)
    site = np.repeat(np.arange(len(names)), [len(rows[n][0]) for n in names])
    x = np.concatenate([rows[n][0] for n in names])
    y = np.concatenate([rows[n][1] for n in names])[:, varies]
    design = np.column_stack([np.eye(len(names))[site], x])
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ coefficients
    sigma = np.sqrt((residual**2).mean(0))
    grand = (np.bincount(site) / len(site)) @ coefficients[: len(names)]
    shifts = {}
    for k, name in enumerate(names):
        z = (y[site == k] - grand - x[site == k] @ coefficients[len(names) :]) / sigma
        mean, n = z.mean(0), len(z)
        prior, tau2 = mean.mean(), mean.var(ddof=1)
        precision = n + 1 / tau2
        shifts[name] = sigma * (n * mean + prior / tau2) / precision
    return shifts


def test_sums_give_what_one_table_gives(splits):
    taken, sigma = estimate(splits, voxelwise("target", "sex"))
    varies = sigma > 0
    flat = np.zeros(SHAPE, bool)
    flat[FLAT] = True
    np.testing.assert_array_equal(varies, ~flat.ravel())
    rows = table(splits)
    theirs = combat.fit({n: (x, y[:, varies]) for n, (x, y) in rows.items()}, spread=False)
    for name, expected in pooled_shift(rows, varies).items():
        np.testing.assert_allclose(taken[name][varies], expected, atol=1e-6)
        np.testing.assert_allclose(theirs.scale * theirs.effects[name].shift, expected, atol=1e-9)
        np.testing.assert_array_equal(taken[name][~varies], 0)


def test_without_covariates(splits):
    taken, sigma = estimate(splits, voxelwise())
    rows = {n: (np.zeros((len(x), 0)), y) for n, (x, y) in table(splits).items()}
    for name, expected in pooled_shift(rows, sigma > 0).items():
        np.testing.assert_allclose(taken[name][sigma > 0], expected, atol=1e-6)


def test_images_of_all_parts_lose_their_sites_shift_and_nobody_else_counts(splits):
    kept = voxelwise("target", "sex")
    taken, sigma = estimate(splits, kept)
    name = "birch"
    other = splits[name]._replace(test=scans_of(name, 99, 5, k=2))
    again, _ = estimate({**splits, name: other}, kept)
    np.testing.assert_array_equal(taken[name], again[name])
    seen = shifted(splits[name], lambda: taken[name])
    for part in Split._fields:
        raw, corrected = (getattr(s, part).volumes for s in (splits[name], seen))
        assert len(raw) == len(corrected)
        np.testing.assert_array_equal(corrected[0], raw[0] - taken[name].reshape(SHAPE))
        np.testing.assert_array_equal(corrected[0][FLAT], 0)
    varies = sigma > 0
    without = {n: shifted(split, lambda n=n: taken[n]) for n, split in splits.items()}
    assert _far_apart(without, varies) < _far_apart(splits, varies) / 2


def _far_apart(splits, varies):
    """SD over sites of what the regression leaves of their means, over voxels that vary."""
    rows = table(splits).values()
    x = np.concatenate([x for x, _ in rows])
    y = np.concatenate([y for _, y in rows])[:, varies]
    site = np.repeat(np.arange(len(rows)), [len(x) for x, _ in rows])
    design = np.column_stack([np.eye(len(rows))[site], x])
    return np.linalg.lstsq(design, y, rcond=None)[0][: len(rows)].std(0).mean()


def test_a_site_tells_as_many_numbers_whatever_its_people():
    for n in (10, 30):
        scans, kept = scans_of("amber", 0, n), voxelwise("target")
        x = voxel_combat.values_of("amber", scans, kept)
        told = voxel_combat.tell(scans.volumes, x)
        assert [len(part) for part in told] == [3, 60, 60]
        assert all(part.dtype == np.float32 for part in told)
        common = voxel_combat.Common(*(np.zeros(60, np.float32) for _ in range(2)))
        assert voxel_combat.squares(scans.volumes, x, told, common).shape == (60,)


def test_what_cannot_be_estimated_is_refused(splits):
    with pytest.raises(ValueError, match="at most 3 columns, each once"):
        voxelwise("sex", "sex")
    with pytest.raises(ValueError, match="value of 'iq' for every scan at amber, got none for 30"):
        estimate(splits, voxelwise("iq"))
    for split in splits.values():
        split.train.columns["twice"] = 2 * split.train.columns["sex"]
    with pytest.raises(ValueError, match="follows from the others"):
        estimate(splits, voxelwise("sex", "twice"))
    splits["cedar"].train.columns["sex"][:2] = np.nan
    with pytest.raises(ValueError, match="at cedar, got none for 2 of 9"):
        estimate(splits, voxelwise("sex"))
