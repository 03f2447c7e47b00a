"""Saliency against closed forms, files in the right space, and the privacy of means."""

import json

import jax
import jax.numpy as jnp
import nibabel as nib
import numpy as np
import pytest
from absl import flags

from fedbrain import main
from fedbrain.analysis.attribution import integrated_gradients, occlusion
from fedbrain.data.recipes import RECIPES
from fedbrain.data.synthetic.people import HOSPITALS
from fedbrain.data.synthetic.regions import brain_region, change_with_age
from fedbrain.experiments import saliency
from fedbrain.types import Task
from tests.experiment_under_test import config
from tests.tiny import example, task, variables

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")


def _quadratic(weights):
    """f(x) = sum w x^2: attributions are w (x^2 - b^2), and a cube's effect is their sum."""

    def evaluate(params, state, batch):
        prediction = jnp.sum(weights * batch["image"] ** 2, axis=(1, 2, 3, 4))
        return prediction, prediction

    return Task(lambda *a: {}, lambda *a: None, evaluate)


def test_integrated_gradients_and_occlusion_of_a_quadratic():
    rng = np.random.default_rng(0)
    w = jnp.asarray(rng.normal(size=(5, 6, 4, 1)), jnp.float32)
    batch = {
        "image": jnp.asarray(rng.normal(size=(1, 5, 6, 4, 1)), jnp.float32),
        "target": jnp.zeros(1),
        "mask": jnp.ones(1),
    }
    baseline = jnp.asarray(rng.normal(size=(5, 6, 4, 1)), jnp.float32)
    attribution, missed = integrated_gradients(
        _quadratic(w), {"params": {}}, batch, baseline, steps=4
    )
    expected = w * (batch["image"][0] ** 2 - baseline**2)
    np.testing.assert_allclose(attribution, expected, atol=1e-5)
    assert abs(float(missed)) < 1e-4
    cubes = occlusion(_quadratic(w), {"params": {}}, batch, baseline, size=2)
    np.testing.assert_allclose(
        cubes[:2, :2, :2], np.full((2, 2, 2), expected[:2, :2, :2].sum()), atol=1e-4
    )
    np.testing.assert_allclose(
        cubes[4, 4, 2], expected[3:5, 4:6, 2:4].sum(), atol=1e-4
    )  # the border's cube overlaps


def test_attributions_of_a_network_add_up_to_its_prediction():
    t = task()
    v = variables(t)
    batch = {name: jnp.asarray(x[:1]) for name, x in example().items()}
    baseline = jnp.zeros(batch["image"].shape[1:])
    attribution, missed = jax.jit(lambda b: integrated_gradients(t, v, b, baseline, steps=64))(
        batch
    )
    assert abs(float(missed)) < 0.1 * float(jnp.abs(attribution).sum())
    assert bool(jnp.isfinite(occlusion(t, v, batch, baseline, size=3)).all())


def test_what_changes_with_age_lies_in_the_brain():
    recipe = RECIPES["conform"](voxel_size_mm=6.0, shape=(28, 32, 28), mask="nonzero")
    change = change_with_age(recipe, HOSPITALS["amber"].scanner)
    assert not change[~brain_region(recipe)].any()
    assert change.max() > 0.5
    np.testing.assert_allclose(
        change_with_age(recipe, HOSPITALS["amber"].scanner, 40.0, 40.0), 0, atol=1e-6
    )


def test_the_map_of_variance_adds_up_to_the_variance_of_predictions():
    rng = np.random.default_rng(0)
    brain = np.zeros((2, 3, 4))
    maps = [saliency.Maps(brain, rng.normal(size=(2, 3, 4)), brain, 0.1) for _ in range(6)]
    predictions = np.asarray([m.attribution.sum() for m in maps])
    assert saliency.mean(maps, 6).variance.sum() == pytest.approx(predictions.var())


def test_maps_of_an_experiment(scans, tmp_path):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    c = config(scans, rounds=1, regimes=("federated",))
    c.splits.test = 0.5
    main.run(c, tmp_path / "run")
    saliency.run(tmp_path / "run", tmp_path / "maps", "federated", 5, 4, 4)
    image = nib.load(tmp_path / "maps/amber_integrated_gradients.nii.gz")
    assert image.shape == (10, 12, 10)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.header.get_zooms() == (18.0, 18.0, 18.0)
    data = np.asarray(image.dataobj)
    assert (data >= 0).all()
    assert data.sum() > 0
    assert {p.name for p in (tmp_path / "maps").glob("*.png")} == {
        "integrated_gradients.png",
        "occlusion.png",
        "variance.png",
    }


def test_scans_of_hospitals_are_not_looked_for_at_the_centre(scans, tmp_path):
    whole = {"config": config(scans).to_dict(), "data": {"shape": [10, 12, 10, 1]}}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=r"got one between hospitals, where they stay\."):
        saliency.run(tmp_path, tmp_path / "maps", "federated", 5, 4, 4)


def test_a_mean_of_too_few_people_is_not_told():
    with pytest.raises(ValueError, match="at least 5 people at a site, got 4"):
        saliency.mean([], 4)
