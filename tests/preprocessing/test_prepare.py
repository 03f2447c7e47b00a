"""`fedbrain prepare`, from a raw tree to what training reads."""

import json

import nibabel as nib
import numpy as np
import pytest

from fedbrain.data.dataset import Preparation
from fedbrain.data.nifti import Volume
from fedbrain.data.recipes import registered_recipe
from fedbrain.data.sites import bids
from fedbrain.data.tables import read_table, write_table
from fedbrain.preprocessing import brain, session
from fedbrain.preprocessing.template import template
from tests.preprocessing.heads import to_mni, write_head
from tests.programs import run_program

GRID = ["--voxel_size_mm=6", "--shape=30,36,30"]
NAME = "sub-01_space-MNI152Lin_res-6_desc-"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("raw")
    write_head(root / "sub-01/anat/sub-01_T1w.nii.gz")
    broken = root / "sub-02/anat/sub-02_T1w.nii.gz"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"not an image")
    rows = [["sub-01", 50], ["sub-02", 60]]
    write_table(root / "participants.tsv", ["participant_id", "age"], rows)
    return root


def prepare(tree, *flags):
    return run_program("fedbrain.prepare", tree, "--brain=template", *GRID, *flags)


@pytest.fixture(scope="module")
def done(tree):
    return prepare(tree)


def test_each_scan_is_prepared_or_named(tree, done):
    assert done.returncode == 0, done.stderr
    assert "1 prepared, 0 already there, 1 failed; quality of all: 1 pass" in done.stdout
    assert "sub-02_T1w.nii.gz: expected a NIfTI image" in done.stdout
    page = (tree / "derivatives/fedbrain/quality.html").read_text()
    assert "sub-02_T1w.nii.gz: expected a NIfTI image" in page
    assert "data:image/png" in page


def test_the_brain_lies_where_the_template_has_it(tree, done):
    anat = tree / "derivatives/fedbrain/sub-01/anat"
    record = json.loads((anat / f"{NAME}preproc_T1w.json").read_text())
    _, brain, affine = template()
    points = np.argwhere(brain > 0.5) @ affine[:3, :3].T + affine[:3, 3]
    both = np.asarray(record["AffineToTemplate"]) @ np.linalg.inv(to_mni())
    away_mm = np.linalg.norm(points @ both[:3, :3].T + both[:3, 3] - points, axis=1)
    assert away_mm.max() < 2  # half a voxel of the head
    assert record["Quality"]["overlap"] == 1
    image, mask = (nib.load(anat / f"{NAME}{n}.nii.gz") for n in ("preproc_T1w", "brain_mask"))
    voxels, inside = (np.asarray(x.dataobj) for x in (image, mask))  # pyright: ignore
    np.testing.assert_array_equal(voxels > 0, inside > 0)


def test_the_same_command_makes_nothing_anew_but_what_changed(tree, done):
    files = sorted((tree / "derivatives/fedbrain/sub-01/anat").iterdir())
    before = [file.stat().st_mtime_ns for file in files]
    assert "0 prepared, 1 already there, 1 failed" in prepare(tree).stdout
    assert [file.stat().st_mtime_ns for file in files] == before
    content = files[0].read_bytes()
    files[0].write_bytes(content[:-1])  # cut short
    assert "1 prepared, 0 already there" in prepare(tree).stdout
    assert files[0].read_bytes() == content  # two runs give the same bits


def test_a_persons_decision_is_kept_and_obeyed(tree, done, tmp_path):
    table = tree / "derivatives/fedbrain/quality.tsv"
    site = bids(str(tree), pipeline="fedbrain")
    preparation = Preparation(registered_recipe(6.0, (30, 36, 30)), tmp_path)
    scans, _ = site("lyon", preparation)
    assert scans.ids == ("sub-01",)
    text = table.read_text()
    table.write_text(text.replace("pass\tn/a", "pass\texclude"))
    prepare(tree)
    assert read_table(table)[0]["decision"] == "exclude"
    scans, report = site("lyon", preparation)
    assert scans.ids == ()
    assert "excluded in quality.tsv" in report.left_out
    prepare(tree, "--include=sub-02")  # another scan: nothing of the first is lost
    assert read_table(table)[0]["decision"] == "exclude"
    assert "sub-01" in (table.parent / "quality.html").read_text()
    table.write_text(text.replace("pass\tn/a", "pass\tperhaps"))
    with pytest.raises(ValueError, match="expected the decision n/a, keep or exclude"):
        site("lyon", preparation)
    table.write_text(text)


def test_a_registration_that_would_not_pass_is_tried_without_the_weight(tmp_path, monkeypatch):
    head, _, affine = template()
    wrong = np.eye(4)
    wrong[1, 3] = 40.0

    def affine_to(moving, fixed, weight=None):
        return np.eye(4) if weight is None else wrong

    monkeypatch.setattr(session.niimath, "affine_to", affine_to)
    size = float(affine[0, 0])
    volume = Volume(head, affine, (size, size, size))
    found = session.register(volume, tmp_path / "T1w.nii", tmp_path)
    np.testing.assert_array_equal(found, np.eye(4))


def test_robex_that_is_not_installed_is_refused_with_what_to_do(tree, monkeypatch, tmp_path):
    absent = brain.METHODS["robex"]._replace(package="a_package_that_is_not_there")
    monkeypatch.setitem(brain.METHODS, "robex", absent)
    ended = prepare(tree, "--brain=robex", f"--output={tmp_path / 'out'}")
    assert ended.returncode == 1
    assert "expected the package a_package_that_is_not_there, got none" in ended.stderr


WRONG = {
    "method": (["--brain=bet"], "--brain: expected robex, template, nonzero or"),
    "shape": (["--shape=10,10"], "three whole numbers"),
    "size": (["--voxel_size_mm=0"], "a size above 0"),
    "modality": (["--modalities=T1w"], "expected what follows the T1w"),
    "subject": (["--include=sub-99"], "expected subjects or sessions that have an image"),
    "pattern": (["--pattern=T9w"], "expected T9w images, got none"),
    "mask": (["--brain=hdbet/desc-brain_mask"], "expected a BIDS folder"),
}


@pytest.mark.parametrize(("flags", "sentence"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_done_is_refused_before_the_work(tree, tmp_path, flags, sentence):
    output = tmp_path / "out"
    ended = run_program("fedbrain.prepare", tree, "--brain=template", f"--output={output}", *flags)
    assert ended.returncode in (1, 2)
    assert sentence in ended.stderr
    assert not output.exists()


def test_a_registered_recipe_leaves_voxels_in_their_place(tree, done, tmp_path):
    preparation = Preparation(registered_recipe(6.0, (30, 36, 30)), tmp_path)
    scans, _ = bids(str(tree), pipeline="fedbrain")("lyon", preparation)
    volume = scans.volumes[0][..., 0]
    anat = tree / "derivatives/fedbrain/sub-01/anat"
    mask = nib.load(anat / f"{NAME}brain_mask.nii.gz")
    np.testing.assert_array_equal(volume != 0, np.asarray(mask.dataobj) > 0)  # pyright: ignore
