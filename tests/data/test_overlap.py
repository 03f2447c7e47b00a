"""One image under two names, and sites without a usable scan."""

import shutil

import numpy as np
import pytest

from fedbrain.data.dataset import Preparation, Scans
from fedbrain.data.overlap import checksums, note_same_scans, require_scans
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import Report
from fedbrain.data.sites import bids
from tests.tiny import write_tree


@pytest.fixture
def preparation(tmp_path):
    return Preparation(Recipe(6.0, (8, 8, 8)), tmp_path / "cache")


def _load(preparation, **sites):
    loaded = {name: bids(**arguments)(name, preparation) for name, arguments in sites.items()}
    scans = {name: scans for name, (scans, _) in loaded.items()}
    reports = {name: report for name, (_, report) in loaded.items()}
    note_same_scans(scans, reports)
    return reports


@pytest.mark.parametrize("place", ["same", "link", "copy", "other names"])
def test_one_tree_under_two_names_is_told(tmp_path, preparation, place):
    first = write_tree(tmp_path / "first", 3)
    second = tmp_path / "second"
    if place == "link":
        second.symlink_to(first)
    elif place != "same":
        shutil.copytree(first, second)
    if place == "other names":
        for path in [*second.rglob("*sub-0*.nii.gz"), *second.glob("sub-0*")]:
            path.rename(path.with_name(path.name.replace("sub-0", "sub-9")))
        text = (second / "participants.tsv").read_text().replace("sub-0", "sub-9")
        (second / "participants.tsv").write_text(text)
    reports = _load(
        preparation, a=dict(root=str(first)), b=dict(root=str(first if place == "same" else second))
    )
    for name, other in (("a", "b"), ("b", "a")):
        [note] = reports[name].notes["images that another site has too"]
        assert note.startswith(f"3 of 3 scans hold the same images as scans of {other},")
        assert "images that another site has too" in str(reports[name])


def test_parts_of_one_tree_are_two_sites(tmp_path, preparation):
    root = str(write_tree(tmp_path / "first", 4))
    here = ("sub-00", "sub-01")
    reports = _load(preparation, a=dict(root=root, include=here), b=dict(root=root, exclude=here))
    assert not reports["a"].notes
    assert not reports["b"].notes


def test_one_image_for_two_people_is_told(tmp_path, preparation):
    root = write_tree(tmp_path / "first", 3)
    image = root / "sub-02/anat/sub-02_T1w.nii.gz"
    shutil.copy(root / "sub-00/anat/sub-00_T1w.nii.gz", image)
    [note] = _load(preparation, a=dict(root=str(root)))["a"].notes["the same image under two names"]
    assert note.startswith("sub-02 has the image of sub-00")


def test_checksums_of_arrays_in_memory():
    volumes = [np.full((2, 2, 2, 1), x, np.float32) for x in (1, 2, 1)]
    ids = ("a", "b", "c")
    one, two, three = checksums(Scans(ids, ids, np.zeros(3, np.float32), volumes))
    assert one == three != two


def test_a_site_without_a_usable_scan_is_named_with_the_reasons():
    scans = Scans((), (), np.zeros(0, np.float32), [])
    report = Report("lyon", found=2)
    report.leave_out("no label", "sub-01: no age.")
    with pytest.raises(ValueError, match=r"sites.lyon: .* none of 2 found. 1 x no label, .*sub-01"):
        require_scans("lyon", scans, report)
