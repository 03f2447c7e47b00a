"""Real headers, trees and tables: read rightly, or refused in a sentence that names the file."""

from pathlib import Path

import numpy as np
import pytest

from fedbrain.data.bids import find_scans, sidecar
from fedbrain.data.conform import conform
from fedbrain.data.dataset import Preparation
from fedbrain.data.labelled import labelled_scans
from fedbrain.data.nifti import ImageError, read_volume
from fedbrain.data.prepare import prepare
from fedbrain.data.recipes import conform_recipe
from fedbrain.data.sites import arrays, bids

# file -> (shape in RAS order, voxel size in mm), or what the sentence says
ZOO = {
    "5D_small.nii": "one 3-D volume, got shape (1, 2, 3, 1, 3)",
    "anatomical.nii": ((33, 41, 25), (2, 2, 2)),
    "avg152T1_LR_nifti.nii.gz": ((91, 109, 91), (2, 2, 2)),
    "avg152T1_LR_nifti2.nii.gz": ((91, 109, 91), (2, 2, 2)),
    "big.nii.gz": ((64, 64, 21), (4, 4, 6)),
    "dcmqa_ax_asc_35sl_6.nii": "one 3-D volume, got shape (64, 64, 35, 2)",
    "example4d.nii.gz": "one 3-D volume, got shape (128, 96, 24, 2)",
    "example_nifti2.nii.gz": "one 3-D volume, got shape (32, 20, 12, 2)",
    "little.nii.gz": ((64, 64, 21), (4, 4, 6)),
    "not-nifti.nii": "expected a NIfTI image, got something else",
    "openms_long_patient01_study1_T1W.nii.gz": ((320, 320, 39), (0.7188, 0.7188, 3)),
    "openms_long_patient01_study2_T1W.nii.gz": ((256, 256, 48), (0.9102, 0.9102, 3)),
    "standard.nii.gz": ((4, 5, 7), (1, 3, 2)),
    "with_extension.nii.gz": ((161, 191, 151), (1, 1, 1)),
}


def test_the_whole_zoo_is_expected(shared):
    assert {p.name for p in (shared / "nifti-zoo").glob("*.nii*")} == set(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_zoo(shared, name):
    path, expected = shared / "nifti-zoo" / name, ZOO[name]
    if isinstance(expected, str):
        with pytest.raises(ImageError) as caught:
            read_volume(path)
        assert name in str(caught.value)
        assert expected in str(caught.value)
        return
    volume = read_volume(path)
    assert volume.data.shape == expected[0]
    np.testing.assert_allclose(volume.voxel_size_mm, expected[1], atol=1e-3)
    assert (np.diag(volume.affine)[:3] > 0).all()
    assert np.isfinite(volume.data).all()


def test_big_and_little_endian_hold_the_same_image(shared):
    big, little = (read_volume(shared / "nifti-zoo" / f"{n}.nii.gz") for n in ("big", "little"))
    np.testing.assert_array_equal(big.data, little.data)
    one, two = (
        read_volume(shared / "nifti-zoo" / f"avg152T1_LR_nifti{n}.nii.gz") for n in ("", "2")
    )
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-4)
    assert np.corrcoef(one.data.ravel(), two.data.ravel())[0, 1] > 0.999


def test_the_same_patient_twice_looks_alike_after_conforming(shared):
    """Two studies with other voxels and matrices; unregistered, so alike and not equal."""
    recipe = conform_recipe(4.0, (48, 54, 48))
    paths = (shared / "nifti-zoo" / f"openms_long_patient01_study{n}_T1W.nii.gz" for n in (1, 2))
    first, second = (conform(read_volume(p), recipe).ravel() for p in paths)
    other = conform(read_volume(shared / "nifti-zoo/avg152T1_LR_nifti.nii.gz"), recipe).ravel()
    assert np.corrcoef(first, second)[0, 1] > max(0.5, np.corrcoef(first, other)[0, 1] + 0.1)


# tree -> (label column, images found, with a label, left out by reason, participants without an
# image)
TREES = {
    "7t_trt": ("age_at_first_scan_years", 22, 22, {}, 0),
    "synthetic": ("age", 10, 10, {}, 0),
    "ds000117": ("age", 16, 16, {}, 1),
    "ds000248": ("age", 1, 0, {"no label": 1}, 1),
    "ds001": ("age", 16, 16, {}, 0),
}


@pytest.mark.parametrize("name", TREES)
def test_bids_examples(shared, name, tmp_path):
    """Every image is counted; with zero bytes each is left out with a sentence that names it."""
    column, found, labelled, left_out, without = TREES[name]
    root = shared / "bids-examples" / name
    labels, report = labelled_scans(root, name, label=column, pattern="T1w", pipeline="")
    assert (report.found, len(labels)) == (found, labelled)
    assert {k: len(v) for k, v in report.left_out.items()} == left_out
    assert len(report.notes.get("row without an image", [])) == without
    recipe = conform_recipe(8.0, (8, 8, 8))
    done = prepare(list(labels), root, recipe=recipe, cache=tmp_path, report=report)
    assert not done
    sentences = report.left_out.get("unusable image", [])
    assert len(sentences) == labelled
    assert all("0 bytes" in s and s.startswith(str(root)) for s in sentences)


def test_derivatives_and_inherited_json(shared):
    root = shared / "bids-examples"
    scans = find_scans(root / "ds000001-fmriprep", "desc-preproc_T1w")
    assert {s.subject for s in scans} == {"sub-10", "sub-11", "sub-13", "sub-16"}
    mni = find_scans(root / "ds000001-fmriprep", "space-MNI152NLin2009cAsym_desc-preproc_T1w")
    assert 0 < len(mni) < len(scans)
    scan = find_scans(root / "ds000117")[0]
    assert scan.session == "ses-mri"
    assert sidecar(scan, root / "ds000117")


@pytest.mark.parametrize(("name", "people"), [("ds003083", 26), ("ds000229", 15), ("ds005530", 18)])
def test_git_annex_clones_are_explained(shared, name, people, tmp_path):
    """FLightcase's three OpenNeuro sets as `git clone` leaves them: links without content."""
    root = tmp_path / name
    root.mkdir()
    for path in (shared / "bids-examples" / name).glob("*.*"):
        (root / path.name).write_bytes(path.read_bytes())
    for line in (root / "T1w_ls-tree.txt").read_text().splitlines():
        mode, _, _, path = line.split(maxsplit=3)
        if mode == "120000":
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to("../../.git/annex/objects/none")
    labels, report = labelled_scans(root, name, label="age", pattern="T1w", pipeline="")
    assert len(labels) == people
    assert not prepare(
        list(labels),
        root,
        recipe=conform_recipe(8.0, (8, 8, 8)),
        cache=tmp_path / "c",
        report=report,
    )
    assert len(report.left_out["unusable image"]) == people
    assert "datalad get" in report.left_out["unusable image"][0]


def test_ixi_hammersmith_is_read_whole(shared, tmp_path):
    """142 scans, 141 with a row: all but sub-IXI637 are kept; twice prepared is the same file."""
    root = shared / "ixi-hh"
    scans, report = bids(str(root))("hh", Preparation(conform_recipe(8.0, (22, 24, 22)), tmp_path))
    assert (report.found, report.kept, len(scans)) == (142, 141, 141)
    assert "sub-IXI637" in report.left_out["no label"][0]
    assert abs(float(scans.target.mean()) - 47.4) < 1.5
    assert all(np.isfinite(v).all() and v.shape == (22, 24, 22, 1) for v in scans.volumes)
    mean = np.mean([np.asarray(v) for v in scans.volumes], axis=0)
    similar = [np.corrcoef(np.asarray(v).ravel(), mean.ravel())[0, 1] for v in scans.volumes]
    assert min(similar) > 0.7  # every head fills the same place


def test_masks_of_a_real_derivative(shared, tmp_path):
    recipe = conform_recipe(6.0, (28, 32, 28), "dlmuse/desc-dlmuse_dseg")
    scans, report = bids(str(shared / "ixi-hh"))("hh", Preparation(recipe, tmp_path))
    assert report.kept == 141
    assert all((np.asarray(v) == 0).mean() > 0.3 for v in map(scans.volumes.__getitem__, range(5)))


def test_brain_only_arrays(shared, tmp_path):
    scans, report = arrays(str(Path(shared) / "ixi-hh-64.npz"))(
        "hh", Preparation(conform_recipe(6.0, (30, 34, 28)), tmp_path)
    )
    assert report.kept == 141
    volume = scans.volumes[0]
    inside = volume[volume != 0]
    assert abs(inside.mean()) < 0.05
    assert 0.9 < inside.std() < 1.05
    with pytest.raises(ValueError, match="expected an array or a column 'iq'"):
        arrays(str(Path(shared) / "ixi-hh-64.npz"), label="iq")(
            "hh", Preparation(conform_recipe(6.0, (4, 4, 4)), tmp_path)
        )
