"""Which mask belongs to which image, and one brain scanned with voxels of any size."""

import numpy as np
import pytest
from scipy import ndimage

from fedbrain.data.bids import find_scans
from fedbrain.data.conform import conform
from fedbrain.data.masks import Masks, read_mask
from fedbrain.data.nifti import Volume, read_volume
from fedbrain.data.nifti_file import ImageError
from fedbrain.data.peculiar import notes_of
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import WITHOUT_SKULL
from tests.tiny import brain, save_volume

RECIPE = Recipe(6.0, (8, 8, 8), "seg/desc-brain_mask")


def _mask_of(root, image, *masks, pattern="desc-brain_mask", pipeline=""):
    """The name of the mask of an image of sub-01, where the derivative holds some."""
    folder = root / "derivatives" / pipeline if pipeline else root
    save_volume(folder / f"sub-01/anat/sub-01_{image}.nii", brain())
    for mask in masks:
        path = root / f"derivatives/seg/sub-01/anat/sub-01_{mask}.nii"
        save_volume(path, (brain() > 0).astype(np.uint8))
    [scan] = find_scans(root, "T1w", pipeline=pipeline)
    return Masks(root, RECIPE._replace(mask=f"seg/{pattern}")).of(scan).name[7:-4]


B = "desc-brain_mask"
FITTING = {
    "native before template": ("T1w", [f"space-MNI_res-2_{B}", B], B),
    "of the run": ("run-1_T1w", [f"run-2_{B}", f"run-1_{B}"], f"run-1_{B}"),
    "of all runs": ("run-1_T1w", [B], B),
    "the run before all runs": ("run-1_T1w", [B, f"run-1_{B}"], f"run-1_{B}"),
    "of the acquisition": ("acq-a_T1w", [f"acq-a_{B}", f"acq-b_{B}"], f"acq-a_{B}"),
    "called native": ("T1w", [f"space-orig_{B}", f"space-MNI_{B}"], f"space-orig_{B}"),
    "of this suffix": ("T1w", [f"mod-T1w_{B}", f"mod-FLAIR_{B}"], f"mod-T1w_{B}"),
}


@pytest.mark.parametrize(("image", "masks", "expected"), FITTING.values(), ids=FITTING)
def test_masks_fit_by_their_entities(tmp_path, image, masks, expected):
    assert _mask_of(tmp_path, image, *masks) == expected


def test_an_image_in_a_space_gets_the_mask_of_that_space(tmp_path):
    image, masks = "space-MNI_desc-preproc_T1w", [B, f"space-MNI_{B}", f"space-MNI_res-2_{B}"]
    assert _mask_of(tmp_path, image, *masks, pipeline="prep") == f"space-MNI_{B}"


def test_an_entity_that_the_recipe_names_is_the_users_choice(tmp_path):
    masks = [f"acq-bet_{B}", f"acq-other_{B}"]
    assert _mask_of(tmp_path, "T1w", *masks, pattern=f"acq-bet_{B}") == masks[0]


@pytest.mark.parametrize(
    ("image", "masks", "message"),
    [
        ("T1w", [f"space-MNI_{B}"], "got none for this image, but sub-01_space-MNI"),
        ("run-1_T1w", [f"run-2_{B}"], "got none for this image, but sub-01_run-2"),
        ("T1w", ["label-GM_mask", "label-WM_mask"], "got several for this image: .*label-WM"),
        ("T1w", [], "got none"),
    ],
)
def test_no_mask_is_better_than_another_images_mask(tmp_path, image, masks, message):
    (tmp_path / "derivatives/seg/sub-02").mkdir(parents=True)
    with pytest.raises(ImageError, match=f"{image}.nii: expected a mask.*{message}"):
        _mask_of(tmp_path, image, *masks, pattern="mask" if "GM" in str(masks) else B)


@pytest.mark.parametrize(("shift_mm", "fits"), [(0.02, True), (0.29, True), (0.5, False)])
def test_rounding_in_a_masks_header_is_accepted(tmp_path, shift_mm, fits):
    image = read_volume(save_volume(tmp_path / "t1.nii", brain()))
    affine = np.diag([3.0, 3, 3, 1])
    affine[0, 3] = shift_mm
    path = save_volume(tmp_path / "mask.nii", (brain() > 0).astype(np.uint8), affine)
    if fits:
        np.testing.assert_array_equal(read_mask(path, image), brain() > 0)
    else:
        with pytest.raises(ImageError, match=r"mask.nii: expected the grid of its scan"):
            read_mask(path, image)


def test_probabilities_are_brain_above_a_half(tmp_path):
    image = read_volume(save_volume(tmp_path / "t1.nii", brain()))
    share = np.linspace(0, 1, 16**3).reshape(16, 16, 16).astype(np.float32)
    path = save_volume(tmp_path / "mask.nii", share)
    assert read_mask(path, image).mean() == pytest.approx(0.5, abs=0.01)
    labels = save_volume(tmp_path / "labels.nii", np.round(share * 3).astype(np.uint8))
    assert read_mask(labels, image).mean() == pytest.approx(5 / 6, abs=0.01)


def _head(voxel_mm: float, extracted: bool) -> Volume:
    """One head of smooth grey values, its brain an ellipsoid, sampled with voxels of any size."""
    rng = np.random.default_rng(0)
    coarse = ndimage.gaussian_filter(rng.normal(size=(72, 72, 72)), 2.4)  # voxels of 2.5 mm
    axis = (np.arange(round(180 / voxel_mm)) + 0.5) * voxel_mm
    mm = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    grey = ndimage.map_coordinates(coarse / coarse.std(), mm / 2.5 - 0.5, order=1, mode="nearest")
    scaled = (mm - np.reshape([92.3, 88.1, 91.7], (3, 1, 1, 1))) / np.reshape(
        [62, 75, 58], (3, 1, 1, 1)
    )
    radius = np.linalg.norm(scaled, axis=0)
    outside = 0.0 if extracted else np.where(radius < 1.15, 60, 3)
    data = np.where(radius < 1, 100 + 20 * grey, outside).astype(np.float32)
    return Volume(data, np.diag([*[voxel_mm] * 3, 1.0]), (voxel_mm,) * 3)


@pytest.mark.parametrize("mask", ["nonzero", "foreground"])
def test_one_brain_with_voxels_of_any_size_is_the_same_volume(mask):
    recipe = Recipe(3.0, (48, 54, 48), mask)
    first, *others = (conform(_head(mm, mask == "nonzero"), recipe) for mm in (1.0, 1.5, 2.0, 3.0))
    inside = first != 0
    rim = inside & ~ndimage.binary_erosion(inside)
    for other in others:
        assert np.corrcoef(first.ravel(), other.ravel())[0, 1] > 0.99
        if mask == "nonzero":
            assert abs(first[rim].mean() - other[rim & (other != 0)].mean()) < 0.05


def test_a_brain_that_touches_the_edge_does_not_go_on_beyond_it():
    data = np.random.default_rng(0).uniform(50, 100, (16, 16, 16)).astype(np.float32)
    volume = Volume(data, np.diag([3.0, 3, 3, 1]), (3.0, 3.0, 3.0))
    out = conform(volume, Recipe(3.0, (24, 24, 24), "nonzero"))
    assert (out != 0).sum() == pytest.approx(16**3, rel=0.01)


def test_nonzero_means_not_zero():
    inside = brain() > 0
    data = np.where(inside, np.random.default_rng(0).normal(size=inside.shape), 0)
    volume = Volume(data.astype(np.float32), np.diag([3.0, 3, 3, 1]), (3.0, 3.0, 3.0))
    out = conform(volume, Recipe(3.0, (16, 16, 16), "nonzero"))
    assert (out != 0).sum() == pytest.approx(inside.sum(), rel=0.02)


def test_an_extracted_follower_keeps_its_rim():
    first, second = _head(2.0, True), _head(2.0, True)
    moved = second.affine.copy()
    moved[:3, 3] = 0.7
    shifted = second._replace(affine=moved, data=second.data[:-1, :-1, :-1])
    out = conform(first, Recipe(3.0, (48, 54, 48), "nonzero"), follower=shifted)
    inside = out != 0
    rim = inside & ~ndimage.binary_erosion(inside)
    assert abs(out[rim].mean()) < 0.2


def _notes(tmp_path, data, mask="nonzero", mm=3.0):
    volume = Volume(np.asarray(data, np.float32), np.diag([mm, mm, mm, 1.0]), (mm,) * 3)
    return notes_of(tmp_path / "a.nii", volume, RECIPE._replace(mask=mask), None)


def test_a_background_that_is_not_zero_is_noted(tmp_path):
    assert set(_notes(tmp_path, brain())) == {WITHOUT_SKULL}
    notes = _notes(tmp_path, np.where(brain() > 0, brain(), -6))
    assert "the background is -6," in notes["background that is not 0"]
    assert "covers 100.0% of the image" in notes["implausible brain mask"]
    notes = _notes(tmp_path, np.where(brain() > 0, brain(), -6), mask="foreground")
    assert set(notes) == {WITHOUT_SKULL}
    ringing = np.random.default_rng(0).normal(0, 1e-6, (16, 16, 16))
    ringing[: brain().shape[0] // 2] = 0
    notes = _notes(tmp_path, np.where(brain() > 0, brain(), ringing))
    assert "nearly 0" in notes["faint voxels taken for brain"]


@pytest.mark.parametrize(
    ("shape", "noted"), [((16, 16, 1), True), ((16, 3, 16), True), ((16, 16, 16), False)]
)
def test_localizers_are_noted(tmp_path, shape, noted):
    notes = _notes(tmp_path, np.ones(shape), mask="foreground")
    assert ("too few slices" in notes) == noted
    if noted:
        assert notes["too few slices"].startswith(f"{tmp_path / 'a.nii'}: {min(shape)} slices")


def test_a_thin_slab_is_noted(tmp_path):
    notes = _notes(tmp_path, np.ones((16, 16, 16)), mask="foreground", mm=0.5)
    assert "17% of the prepared field" in notes["too few slices"]
