"""Montages say which side is which, how high a slice lies, and what a colour means."""

import nibabel as nib
import numpy as np

from fedbrain.analysis.brain_maps import height_mm, montage, save_map

SHAPE = (6, 7, 9)


def drawn(synthetic):
    grid = np.random.default_rng(0).uniform(size=SHAPE)
    sites = {"amber": grid, "birch": grid}
    return montage(
        sites,
        sites,
        title="maps",
        measure="years",
        voxel_size_mm=6.0,
        synthetic=synthetic,
        slices=3,
    )


def test_sides_heights_and_units_are_written():
    figure = drawn(synthetic=True)
    panels, bars = figure.axes[:6], figure.axes[6:]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["L", "R"]
    assert [axis.get_title() for axis in panels[:3]] == ["-18 mm", "+0 mm", "+18 mm"]
    assert [bar.get_ylabel() for bar in bars] == ["years", "years"]
    assert figure.get_suptitle() == "maps (synthetic)"


def test_heights_are_those_of_the_file(tmp_path):
    save_map(tmp_path / "map.nii.gz", np.zeros(SHAPE), 6.0)
    affine = nib.load(tmp_path / "map.nii.gz").affine
    for z in range(SHAPE[2]):
        assert height_mm(SHAPE, z, 6.0) == (affine @ [0, 0, z, 1])[2]
    assert nib.aff2axcodes(affine) == ("R", "A", "S")
