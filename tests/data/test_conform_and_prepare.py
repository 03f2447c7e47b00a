"""From any grid to the common one, and the cache on disk."""

import numpy as np
import pytest

from fedbrain.data.bids import find_scans
from fedbrain.data.conform import conform, z_score
from fedbrain.data.dataset import Volumes
from fedbrain.data.field_of_view import foreground, otsu_threshold
from fedbrain.data.nifti import ImageError, Volume, read_volume
from fedbrain.data.prepare import prepare
from fedbrain.data.recipes import Recipe, conform_recipe
from fedbrain.data.scan_report import Report
from tests.tiny import brain, save_volume

RECIPE = conform_recipe(6.0, (8, 8, 8))


def _volume(data, voxel=(3.0, 3.0, 3.0)) -> Volume:
    return Volume(np.asarray(data, np.float32), np.diag([*voxel, 1.0]), voxel, 0)


def _blob(shape, voxel, centre_mm, radius_mm=25.0):
    axes = [(np.arange(n) + 0.5) * v for n, v in zip(shape, voxel)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    distance = np.linalg.norm(grid - np.reshape(centre_mm, (3, 1, 1, 1)), axis=0)
    return np.clip(radius_mm - distance, 0, 10) * 10


@pytest.mark.parametrize("voxel", [(3.0, 3.0, 3.0), (2.0, 3.0, 4.0), (1.5, 1.5, 1.5)])
def test_the_same_head_looks_the_same_from_every_grid_and_place(voxel):
    """A ball, scanned with other voxels and off centre, lands on the same voxels.

    One voxel off correlates below .97.
    """
    recipe = conform_recipe(5.0, (16, 16, 16))
    reference = conform(_volume(_blob((32, 32, 32), (3,) * 3, (48, 48, 60))), recipe)
    shape = tuple(round(96 / v) for v in voxel)
    other = conform(_volume(_blob(shape, voxel, (40, 52, 64)), voxel), recipe)

    def correlation(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert correlation(reference, other) > 0.99
    assert correlation(reference, np.roll(reference, 1, axis=2)) < 0.97


def test_z_score_inside_a_mask():
    data = brain().astype(np.float32)
    mask = data > 0
    z = z_score(data, mask)
    assert abs(z[mask].mean()) < 1e-3
    assert abs(z[mask].std() - 1) < 0.02
    with pytest.raises(ImageError, match="contrast"):
        z_score(np.ones((4, 4, 4), np.float32), np.ones((4, 4, 4), bool))


def test_a_brain_mask_sets_the_outside_to_zero():
    data = brain()
    out = conform(_volume(data), Recipe(3.0, (16, 16, 16), "nonzero"))
    assert out[0, 0, 0] == 0
    assert out.dtype == np.float32
    assert (out != 0).mean() > 0.1


def test_otsu_separates_two_humps():
    values = np.concatenate([np.random.default_rng(0).normal(m, 1, 1000) for m in (0, 20)])
    assert 3 < otsu_threshold(values) < 17
    assert foreground(brain().astype(np.float32)).mean() == pytest.approx(
        (brain() > 0).mean(), abs=0.02
    )


def test_prepare_caches_and_reports(tree, tmp_path):
    (tree / "sub-00/anat/sub-00_T1w.nii.gz").write_bytes(b"")
    scans, report, cache = find_scans(tree), Report("here"), tmp_path / "cache"
    first = prepare(scans, tree, recipe=RECIPE, cache=cache, report=report)
    assert len(first) == 11
    assert "0 bytes" in report.left_out["unusable image"][0]
    times = {p: p.stat().st_mtime_ns for p in first.values()}
    assert all(
        x.shape == (*RECIPE.shape, 1) and x.dtype == np.float32
        for x in Volumes([[p] for p in times], RECIPE.shape)
    )
    again = prepare(scans, tree, recipe=RECIPE, cache=cache, report=Report("here"))
    assert {p: p.stat().st_mtime_ns for p in again.values()} == times
    assert not list(cache.glob("*.tmp"))
    assert not report.notes

    save_volume(scans[1].path, brain(99))
    changed = prepare(scans, tree, recipe=RECIPE, cache=cache, report=Report("here"))
    assert changed[scans[1]] != first[scans[1]]
    assert changed[scans[2]] == first[scans[2]]
    other = prepare(
        scans, tree, recipe=RECIPE._replace(voxel_size_mm=5.0), cache=cache, report=Report("here")
    )
    assert other[scans[2]] != first[scans[2]]


def test_masks_from_a_derivative(tree, tmp_path):
    """Brain = label > 0; a scan without a mask, or with one on another grid, is left out."""
    recipe = conform_recipe(6.0, (8, 8, 8), "seg/desc-seg_dseg")
    for i in range(3):
        shape = (16, 16, 16) if i < 2 else (8, 8, 8)
        path = tree / f"derivatives/seg/sub-{i:02d}/anat/sub-{i:02d}_desc-seg_dseg.nii.gz"
        save_volume(path, (brain(0, shape) > 0).astype(np.uint8))
    report = Report("here")
    done = prepare(find_scans(tree)[:4], tree, recipe=recipe, cache=tmp_path / "c", report=report)
    assert len(done) == 2
    sentences = " ".join(report.left_out["unusable image"])
    assert "expected the grid of its scan" in sentences
    assert "sub-03_T1w.nii.gz: expected a mask" in sentences


def test_reading_and_conforming_a_file(tree):
    assert conform(read_volume(find_scans(tree)[0].path), RECIPE).shape == (8, 8, 8)


@pytest.mark.parametrize(
    "arguments",
    [
        (0.0, (4, 4, 4)),
        (float("inf"), (4, 4, 4)),
        (1.0, (4, 4)),
        (1.0, (0, 4, 4)),
        (1.0, (10_000, 4, 4)),
    ],
)
def test_impossible_recipes(arguments):
    with pytest.raises(ValueError, match="Expected voxel_size_mm"):
        conform_recipe(*arguments)


def test_notes_are_told_again_when_the_volume_comes_from_the_cache(tree, tmp_path):
    data = brain().astype(np.float32)
    data[0, 0, :3] = np.nan
    scan = find_scans(tree)[0]
    save_volume(scan.path, data)
    for _ in range(2):
        report = Report("here")
        prepare([scan], tree, recipe=RECIPE, cache=tmp_path / "cache", report=report)
        assert report.notes["non-finite voxels"] == [
            f"{scan.path}: 3 voxels were NaN or infinite and became 0."
        ]
