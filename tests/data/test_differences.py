"""What tells sites apart beside people: skulls, voxel sizes, people that come twice."""

import numpy as np
import pytest

from fedbrain.data.dataset import Preparation
from fedbrain.data.differences import differences
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import Report
from fedbrain.data.sites import bids
from fedbrain.data.voxel_sizes import voxel_size_mm
from tests.tiny import brain, save_volume, write_tree

RECIPE = Recipe(6.0, (8, 8, 8))


def report(site, without=0, looked=10, size=(1.0, 1.0, 1.0)):
    return Report(
        site, kept=looked, voxel_sizes_mm={size: looked}, looked_at=looked, without_skull=without
    )


@pytest.mark.parametrize(
    ("without", "mask", "words"),
    [
        ((10, 10), "nonzero", []),
        ((0, 0), "foreground", []),
        ((10, 0), "foreground", ["a looks skull-stripped, b looks not"]),
        ((10, 0), "nonzero", ["a looks skull-stripped, b looks not"]),
        ((10, 0), "hdbet/mask", []),
        ((10, 10), "foreground", ["a and b look skull-stripped: mask='nonzero'"]),
        ((0, 0), "nonzero", ["a and b look like whole heads"]),
        ((10, 7), "nonzero", ["b: 7 of 10 images look skull-stripped, the others do not"]),
    ],
)
def test_skulls(without, mask, words):
    sentences = list(differences([report("a", without[0]), report("b", without[1])], mask))
    assert len(sentences) == len(words)
    assert all(word in sentence for word, sentence in zip(words, sentences))


@pytest.mark.parametrize(
    ("size", "told"), [((1.0, 1.0, 1.2), False), ((0.9, 1.0, 1.0), False), ((1.0, 1.0, 3.0), True)]
)
def test_voxel_sizes_that_differ_widely(size, told):
    sentences = list(differences([report("a"), report("b", size=size)], "foreground"))
    assert bool(sentences) == told
    assert all("1 x 1 x 3 mm at b" in sentence for sentence in sentences)


def test_nothing_is_said_of_sites_without_images():
    assert not list(differences([Report("a", kept=9), Report("b", kept=9)], "nonzero"))


def test_a_report_counts_skulls_and_sizes(tree, tmp_path):
    noise = np.random.default_rng(0).normal(100, 10, (16, 16, 16))
    save_volume(tree / "sub-00/anat/sub-00_T1w.nii.gz", noise, np.diag([2.0, 3, 2, 1]))
    scans, seen = bids(str(tree))("here", Preparation(RECIPE, tmp_path / "cache"))
    assert (len(scans), seen.looked_at, seen.without_skull) == (12, 12, 11)
    assert seen.voxel_sizes_mm == {(2.0, 2.0, 3.0): 1, (3.0, 3.0, 3.0): 11}
    assert "3 x 3 x 3 mm in 11 scans, 1 other sizes in 1 scans; 11 of 12" in str(seen)
    assert seen.as_dict()["voxel_sizes_mm"]["2 x 2 x 3"] == 1


def test_a_header_that_cannot_tell(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"no image")
    assert voxel_size_mm(tmp_path / "a.nii") is None
    assert voxel_size_mm(tmp_path / "gone.nii") is None


def test_a_larger_head_is_not_without_skull(tmp_path):
    """2.2 litres are more than a brain: a head with a blank background."""
    root = write_tree(tmp_path / "tree", 1)
    for edge_mm, expected in ((3.0, 1), (16.0, 0)):  # 25 ml, 3.9 l
        image = root / "sub-00/anat/sub-00_T1w.nii.gz"
        save_volume(image, brain(), np.diag([edge_mm] * 3 + [1.0]))
        seen = bids(str(root))("here", Preparation(RECIPE, tmp_path / "cache"))[1]
        assert seen.without_skull == expected
