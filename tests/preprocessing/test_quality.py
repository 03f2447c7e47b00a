"""Numbers on quality: known answers, and each way to go wrong is seen."""

import numpy as np
import pytest

from fedbrain.data.geometry import rotation
from fedbrain.data.nifti import Volume
from fedbrain.preprocessing.quality import BOUNDS, judge, measure
from fedbrain.preprocessing.template import template

GOOD = {
    "similarity": 0.4,
    "overlap": 0.95,
    "brain_ml": 1400.0,
    "covered": 1.0,
    "stretch_min": 1.0,
    "stretch_max": 1.1,
    "turn_degrees": 10.0,
    "contrast": 3.0,
    "noise": 0.05,
}


def _measured(*, shift_mm=(0, 0, 0), turn=(0, 0, 0), brain=None, data=None, cut=0):
    head, inside, affine = template()
    head = 1000 * head if data is None else data
    brain = inside > 0.5 if brain is None else brain
    move = np.eye(4)
    move[:3, :3] = rotation(np.radians(turn))
    move[:3, 3] = shift_mm
    size = float(affine[0, 0])
    volume = Volume(head[:, :, cut:], affine, (size, size, size))
    shifted = affine.copy()
    shifted[2, 3] += cut * size
    return measure(volume, brain[:, :, cut:], move @ shifted)


def test_the_template_itself_is_perfect():
    numbers = _measured()
    assert numbers["similarity"] == pytest.approx(1, abs=0.02)
    assert numbers["overlap"] == numbers["covered"] == numbers["stretch_max"] == 1
    assert numbers["turn_degrees"] == 0
    assert judge({**numbers, "contrast": 3.0}) == ("pass", [])


def test_a_turn_is_measured_in_degrees():
    assert _measured(turn=(0, 0, 50))["turn_degrees"] == pytest.approx(50, abs=1e-3)


@pytest.mark.parametrize("sd", [0.02, 0.05, 0.1])
def test_white_noise_is_measured_by_its_sd(sd):
    _, inside, _ = template()
    noise = np.random.default_rng(0).normal(0, sd, inside.shape)
    data = np.where(inside > 0.5, 500 * (1 + noise), 0).astype(np.float32)
    assert _measured(data=data)["noise"] == pytest.approx(sd, rel=0.1)


def test_two_tissues_differ_by_their_means_in_sd():
    _, inside, _ = template()
    rng = np.random.default_rng(0)
    bright = rng.random(inside.shape) < 0.5
    data = np.where(bright, 900, 500) + rng.normal(0, 50, inside.shape)
    assert _measured(data=data.astype(np.float32))["contrast"] == pytest.approx(8, rel=0.05)


WRONG = {
    "to the wrong place": {"shift_mm": (0, 0, 40)},
    "upside down": {"turn": (0, 180, 0)},
    "the top of the head is missing": {"cut": 30},
    "half a brain": {"brain": (template().brain > 0.5) & (np.arange(73)[:, None, None] < 36)},
    "the whole head": {"brain": template().head > 0.02},
    "one grey value": {"data": np.where(template().head > 0.1, 700, 0).astype(np.float32)},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_went_wrong_does_not_pass(change):
    verdict, reasons = judge(_measured(**change))
    assert verdict != "pass"
    assert reasons


@pytest.mark.parametrize("name", BOUNDS)
def test_every_number_can_fail_a_scan(name):
    assert judge(GOOD) == ("pass", [])
    row = BOUNDS[name]
    beyond = 2 * row.fail_above if row.fail_above < np.inf else row.fail_below - 1
    verdict, [reason] = judge(GOOD | {name: beyond})
    assert verdict == "fail"
    assert reason.startswith(name)


def test_a_number_that_is_not_finite_fails():
    assert judge(GOOD | {"similarity": float("nan")})[0] == "fail"
