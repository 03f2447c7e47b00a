"""A tree that is looked at before it is prepared: the same scans, and a cache that stays as it is.

Checks of types draw a volume now and then, which tests alone do: a few are in the scratch folder.
"""

import numpy as np
import pytest

from fedbrain.data import overlap
from fedbrain.data.dataset import Preparation, Volumes
from fedbrain.data.overlap import note_same_scans
from fedbrain.data.recipes import Recipe
from fedbrain.data.sites import bids
from fedbrain.data.synthetic.site import synthetic

RECIPE = Recipe(6.0, (8, 8, 8))


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def source(tree, request):
    return {"bids": bids(str(tree)), "synthetic": synthetic("amber", subjects=5)}[request.param]


both = pytest.mark.parametrize("source", ["bids", "synthetic"], indirect=True)


@both
def test_volumes_are_those_of_a_run(source, tmp_path):
    eager, _ = source("here", Preparation(RECIPE, tmp_path / "a"))
    lazy, report = source("here", Preparation(RECIPE, tmp_path / "b", scratch=tmp_path / "s"))
    assert not files(tmp_path / "b")
    assert len(files(tmp_path / "s")) < len(eager)
    assert (lazy.ids, report.kept, report.looked_at) == (eager.ids, len(eager), 0)
    np.testing.assert_array_equal(lazy.volumes[2], eager.volumes[2])
    assert not files(tmp_path / "b")


@both
def test_the_cache_is_read_and_not_written(source, tmp_path):
    eager, _ = source("here", Preparation(RECIPE, tmp_path / "a"))
    assert isinstance(eager.volumes, Volumes)
    first, second = (eager.volumes.paths[i][0] for i in (0, 1))
    first.write_bytes(first.read_bytes()[:-9][:40])
    lazy, _ = source("here", Preparation(RECIPE, tmp_path / "a", scratch=tmp_path / "s"))
    content = bytearray(second.read_bytes())
    content[9] ^= 1
    second.write_bytes(content)
    before = files(tmp_path / "a")
    np.testing.assert_array_equal(lazy.volumes[3], eager.volumes[3])
    with pytest.raises(ValueError, match="made anew"):
        lazy.volumes[1]
    assert files(tmp_path / "a") == before
    assert len(files(tmp_path / "s")) <= 1


def test_headers_that_cannot_be_used_are_left_out(tree, tmp_path):
    (tree / "sub-03/anat/sub-03_T1w.nii.gz").write_bytes(b"")
    (tree / "sub-04/anat/sub-04_T1w.nii.gz").write_bytes(b"<html>not found</html>")
    scans, report = bids(str(tree))("here", Preparation(RECIPE, tmp_path, scratch=tmp_path / "s"))
    assert (report.found, report.kept, len(scans)) == (12, 10, 10)
    text = " ".join(report.left_out["unusable image"])
    assert "0 bytes" in text
    assert "a web page" in text


@both
def test_the_same_people_are_noticed_without_a_voxel(source, tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "read_checksum", None)
    preparation = Preparation(RECIPE, tmp_path / "a", scratch=tmp_path / "s")
    sites, reports = {}, {}
    for name in ("one", "two"):
        sites[name], reports[name] = source(name, preparation)
    note_same_scans(sites, reports)
    assert "images that another site has too" in reports["one"].notes
