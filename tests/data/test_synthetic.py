"""The synthetic cohort: volumes as asked for, measured ageing, files as hospitals store them."""

import nibabel as nib
import numpy as np
import pytest

from fedbrain.data.dataset import Preparation
from fedbrain.data.nifti import read_volume
from fedbrain.data.recipes import conform_recipe
from fedbrain.data.sites import bids
from fedbrain.data.synthetic.anatomy import TEMPLATE, atlas, expected_volumes, grow_old
from fedbrain.data.synthetic.people import HOSPITALS, draw_person, sdmt_norm
from fedbrain.data.synthetic.render import render
from fedbrain.data.synthetic.site import synthetic
from fedbrain.data.synthetic.write import write_cohort


@pytest.mark.parametrize("gm", [0.42, 0.47, 0.52])
@pytest.mark.parametrize("ventricles", [0.008, 0.02, 0.05])
def test_tissues_have_the_volumes_that_were_asked_for(gm, ventricles):
    """Grey matter to 0.1 points of ICV; fluid grows with the ventricles."""
    t = grow_old(gm, ventricles)
    icv = atlas().brain.sum()
    assert t.gm.sum() / icv == pytest.approx(gm, abs=0.001)
    assert min(x.min() for x in t) > -1e-5
    np.testing.assert_allclose(sum(t), atlas().brain, atol=1e-5)
    bigger = grow_old(gm, ventricles + 0.01)
    assert (bigger.csf.sum() - t.csf.sum()) / icv > 0.002


def test_ageing_follows_the_measured_slopes():
    """GM -1.30 and -2.47 points a decade, ventricles .11 and .39 (log): 181 adults of IXI."""
    gm, v = np.asarray([expected_volumes(a) for a in (30.0, 40.0, 60.0, 70.0)]).T
    assert gm[1] - gm[0] == pytest.approx(-0.0130)
    assert gm[3] - gm[2] == pytest.approx(-0.0247)
    assert np.log(v[1] / v[0]) == pytest.approx(0.11)
    assert np.log(v[3] / v[2]) == pytest.approx(0.39)


def test_people_are_reproducible_and_hospitals_differ():
    people = {h: [draw_person(h, i, seed=0) for i in range(200)] for h in HOSPITALS}
    assert people["amber"][:5] == [draw_person("amber", i, seed=0) for i in range(5)]
    means = {h: np.mean([p.age_years for p in ps]) for h, ps in people.items()}
    assert means["birch"] < means["amber"]
    assert all(18 <= p.age_years <= 88 for ps in people.values() for p in ps)


def test_patients_have_lesions_and_lower_scores():
    patients = [draw_person("amber", i, seed=0, ms=True) for i in range(150)]
    healthy = [draw_person("amber", i, seed=0) for i in range(150)]
    z = [
        [(p.sdmt - sdmt_norm(p.age_years, p.education_years)[0]) / 8.34 for p in g]
        for g in (patients, healthy)
    ]
    assert np.mean(z[0]) < np.mean(z[1]) - 0.5
    scan = render(patients[0], HOSPITALS["amber"].scanner)
    measured = scan.lesions.sum() / atlas().brain.sum() * patients[0].icv_ml
    assert measured == pytest.approx(patients[0].lesion_ml, rel=0.05)


def test_norm_falls_with_age_and_rises_with_education():
    assert sdmt_norm(30.0, 12)[0] > sdmt_norm(60.0, 12)[0]
    assert sdmt_norm(30.0, 16)[0] - sdmt_norm(30.0, 12)[0] == pytest.approx(3.865)


def test_trees_are_stored_as_the_scanner_does_and_read_back(tmp_path):
    roots = write_cohort(tmp_path, healthy=2, ms=1, seed=3)
    recipe = conform_recipe(6.0, (28, 32, 28), "nonzero")
    for root, (name, hospital) in zip(roots, HOSPITALS.items()):
        path = next(root.glob("sub-*/anat/*_T1w.nii.gz"))
        image = nib.load(path)
        assert "".join(nib.aff2axcodes(image.affine)) == hospital.scanner.axcodes
        assert image.get_data_dtype() == hospital.scanner.dtype
        np.testing.assert_allclose(read_volume(path).voxel_size_mm, hospital.scanner.voxel_size_mm)
        scans, report = bids(str(root))(name, Preparation(recipe, tmp_path / "cache"))
        assert (len(scans), report.found, report.synthetic) == (3, 3, True)
        assert "sdmt_total" in (root / "phenotype/sdmt.tsv").read_text()
        sdmt, _ = bids(str(root), label="sdmt_total")(name, Preparation(recipe, tmp_path / "cache"))
        assert len(sdmt) == 1
        # A scan made in memory and one that went through the tree are the same picture.
        memory, _ = synthetic(name, subjects=1, seed=3)(name, Preparation(recipe, tmp_path))
        direct, stored = memory.volumes[0], scans.volumes[scans.ids.index(memory.ids[0])]
        assert np.corrcoef(direct.ravel(), stored.ravel())[0, 1] > 0.995


def test_an_unknown_hospital():
    with pytest.raises(ValueError, match="Expected a hospital among amber"):
        synthetic("oak")


def test_template_is_small():
    assert TEMPLATE.stat().st_size < 200_000
