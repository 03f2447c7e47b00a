"""`fedbrain check`: what it prints, what it refuses, and that it leaves no trace."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedbrain.data.dataset import Scans
from fedbrain.experiments import check, glance
from fedbrain.experiments.advice import render_warnings, small_parts, split_all
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.cost import images_trained
from tests.experiment_under_test import config
from tests.tiny import brain, save_volume, write_tree

ROOT = Path(__file__).parents[2]


def bids_config(folder, *trees, rounds=1):
    c = config(folder / "cache", rounds=rounds)
    c.sites = {tree.name: f"bids({str(tree)!r})" for tree in trees}
    c.prepare = "conform(voxel_size_mm=6.0, shape=(8, 8, 8), mask='nonzero')"
    return c


def whole_head(tree, subjects):
    """The same people with noise around the brain, and thick slices."""
    write_tree(tree, subjects)
    rng = np.random.default_rng(0)
    for i in range(subjects):
        image = tree / f"sub-{i:02d}/anat/sub-{i:02d}_T1w.nii.gz"
        noisy = brain(100 + i) + rng.uniform(5, 20, (16, 16, 16))
        save_volume(image, noisy, np.diag([3.0, 3.0, 6.0, 1.0]))
    return tree


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def two_trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    lyon, bern = write_tree(folder / "lyon", 30), whole_head(folder / "bern", 12)
    (lyon / "sub-03/anat/sub-03_T1w.nii.gz").write_bytes(b"")
    return folder, lyon, bern


def test_two_sites_that_differ(two_trees, tmp_path, capsys):
    folder, lyon, bern = two_trees
    before = files(folder)
    check.run(bids_config(tmp_path, lyon, bern), tmp_path / "run", output=None)
    text = capsys.readouterr().out
    for words in (
        "client.batch_size = 4",
        "lyon: 30 scans found, 29 kept, 1 left out",
        "left out: 1 x unusable image",
        "lyon looks skull-stripped, bern looks not",
        "voxels are 3 x 3 x 3 mm at lyon and 3 x 3 x 6 mm at bern",
        "bern: too few people: validation",
        "Memory of a training step of one client: ",
        "Disk for prepared volumes: less than 1 MB",
        "  bern: labels from ",
        "Rule: weighted_mean() is defined",
    ):
        assert words in text
    assert "Traceback" not in text
    assert files(folder) == before
    assert not list(tmp_path.iterdir())


def test_the_output_that_is_asked_for(two_trees, tmp_path, capsys):
    _, lyon, bern = two_trees
    check.run(bids_config(tmp_path, lyon, bern), tmp_path / "run", output=tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"lyon.png", "lyon.json", "bern.png", "bern.json", "check.txt"}
    assert "sub-03" in (tmp_path / "out/lyon.json").read_text()
    assert (tmp_path / "out/check.txt").read_text() in capsys.readouterr().out + "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_one_tree_under_two_names(two_trees, tmp_path, capsys):
    _, lyon, _ = two_trees
    c = bids_config(tmp_path, lyon)
    c.sites.paris = c.sites.lyon
    check.run(c, tmp_path / "run", output=None)
    text = capsys.readouterr().out
    assert "lyon: images that another site has too: 29 of 29" in text


def test_what_would_be_refused_is(two_trees, tmp_path, capsys):
    _, lyon, bern = two_trees
    c = bids_config(tmp_path, lyon, bern)
    c.server.aggregator = "krum(num_byzantine=1)"
    with pytest.raises(ValueError, match="not defined for 2 clients; it needs 5"):
        check.run(c, tmp_path / "run", output=None)
    assert "warnings" in capsys.readouterr().out  # the rest is told all the same
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text('{"config": {"rounds": 7}}')
    with pytest.raises(ValueError, match="holds another experiment"):
        check.run(bids_config(tmp_path, lyon), tmp_path / "run", output=None)


def test_what_cannot_be_split_is_told_below_what_was_found(two_trees, tmp_path, capsys):
    """Most scans are left out: the reasons are what helps."""
    _, lyon, bern = two_trees
    c = bids_config(tmp_path, lyon, bern)
    c.sites.bern = f"bids({str(bern)!r}, include=('sub-00', 'sub-01'))"
    with pytest.raises(ValueError, match="bern: Expected enough subjects"):
        check.run(c, tmp_path / "run", output=tmp_path / "out")
    text = capsys.readouterr().out
    assert "bern: 12 scans found, 2 kept, 10 left out" in text
    assert "Refused: bern: Expected enough" in (tmp_path / "out/check.txt").read_text()


def test_an_output_that_cannot_be_written_names_its_flag(two_trees, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"got the file .*Choose another --output\.$"):
        check.run(bids_config(tmp_path, two_trees[1]), tmp_path, output=tmp_path / "file")


def test_the_command(tmp_path):
    """A scan whose header is fine and whose voxels are all 0 is among those that are looked at."""
    tree = write_tree(tmp_path / "tree", 20)
    save_volume(tree / "sub-00/anat/sub-00_T1w.nii.gz", np.zeros((16, 16, 16), np.int16))
    before = files(tree)
    words = ["-m", "fedbrain", "check", "quickstart", "--site", f"lyon={tree}", "--quiet"]
    words += ["--config.prepare=conform(voxel_size_mm=6.0, shape=(8, 8, 8), mask='nonzero')"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "lyon: 20 scans found, 19 kept, 1 left out" in done.stdout
    assert "expected an image with contrast" in done.stdout
    assert "Traceback" not in done.stderr
    assert files(tree) == before
    left = [path for path in tmp_path.iterdir() if path.name[0] != "." and path != tree]
    assert not left
    assert not list(tmp_path.rglob("volumes"))


def test_a_slow_disk_costs_no_more_than_the_budget(two_trees, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(glance, "BUDGET_S", -1.0)
    check.run(bids_config(tmp_path, two_trees[1]), tmp_path / "run", output=tmp_path / "out")
    text = capsys.readouterr().out
    assert "voxels of 0 scans read" in text
    assert "none was looked at" in text
    assert not list((tmp_path / "out").glob("*.png"))


def people(n):
    ids = tuple(f"sub-{i:02d}" for i in range(n))
    volumes = [np.zeros((2, 2, 2, 1), np.float32)] * n
    return Scans(ids, ids, np.arange(n, dtype=np.float32), volumes)


def test_images_that_are_trained_on():
    experiment = read_experiment(config("/nowhere", rounds=3))
    clients = {"a": people(20), "b": people(30)}
    splits = split_all(experiment, clients)
    train = sum(len(split.train) for split in splits[0][1].values())
    valid = sum(len(split.valid) for split in splits[0][1].values())
    assert images_trained(experiment, splits) == (3 * 3 * train, 3 * 3 * valid)  # three regimes


def test_a_site_of_which_nothing_that_was_looked_at_can_be_used():
    sites = {"lyon": people(12), "flat": people(12), "bern": people(12)}
    usable = sites | {"lyon": people(11), "flat": people(8)}
    seen = [glance.Glance("lyon", "sub-01", np.zeros((2, 2, 2), np.float32))]
    [problem] = check.none_usable(seen, sites, usable)
    assert problem.startswith("sites.flat: expected scans that can be used, got none among the 4")


@pytest.mark.parametrize(("n", "told"), [(10, ["a: too few people"]), (60, [])])
def test_small_parts(n, told):
    experiment = read_experiment(config("/nowhere"))
    sentences = list(small_parts(split_all(experiment, {"a": people(n)})))
    assert [sentence.rpartition(": validation")[0] for sentence in sentences] == told


def test_a_client_that_is_too_small_is_named():
    experiment = read_experiment(config("/nowhere"))
    with pytest.raises(ValueError, match=r"^a: Expected enough subjects"):
        split_all(experiment, {"a": people(2)})


def test_the_block_of_warnings():
    assert render_warnings([]) == ""
    assert render_warnings(["a", "b"]) == "2 warnings:\n  - a\n  - b"


def test_a_modality_that_nobody_has_is_refused(two_trees, tmp_path):
    """One that a site lacks is a note: its channel is 0 there."""
    _, lyon, _ = two_trees
    c = bids_config(tmp_path, lyon)
    c.modalities = ("T1w", "FLAIR")
    with pytest.raises(ValueError, match=r"config\.modalities: expected images of FLAIR, got none"):
        check.run(c, tmp_path / "run", output=None)
