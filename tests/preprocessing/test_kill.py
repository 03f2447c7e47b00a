"""`fedbrain prepare` and `kill -9` in the middle of a scan; then the same command."""

import json
import os
import subprocess
import sys
import tempfile
import time

import nibabel as nib
import numpy as np
import pytest

from tests.preprocessing.heads import write_head
from tests.programs import ROOT, run_program

FLAGS = ["--brain=template", "--voxel_size_mm=6", "--shape=30,36,30", "--jobs=1"]
HANGS_S = 600


def contents(folder, subject):
    return {path.name: path.read_bytes() for path in (folder / subject).rglob("*.*")}


def save_with_noise(path):
    """Another head of the same size."""
    image = nib.load(path)
    noise = np.random.default_rng(1).normal(1, 0.05, image.shape)
    data = (image.get_fdata() * noise).astype(np.float32)
    nib.save(nib.Nifti1Image(data, image.affine), path)


def start_and_kill(root, scratch, record):
    """Kills the command once the first record is there and the second scan is under way."""
    command = [sys.executable, "-m", "fedbrain.prepare", str(root), *FLAGS]
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        give_up = time.monotonic() + HANGS_S
        while not (record.is_file() and list(scratch.glob("*/files/*.nii"))):
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.kill()


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch):
    root, scratch = tmp_path / "raw", tmp_path / "scratch"
    scratch.mkdir()
    first, second = (root / f"{s}/anat/{s}_T1w.nii.gz" for s in ("sub-01", "sub-02"))
    write_head(first)
    save_with_noise(write_head(second))
    output = root / "derivatives/fedbrain"
    record = output / "sub-01/anat/sub-01_space-MNI152Lin_res-6_desc-preproc_T1w.json"
    start_and_kill(root, scratch, record)
    assert len(list(scratch.iterdir())) == 1
    assert not list(output.glob("sub-02/anat/*.json"))
    kept, written = contents(output, "sub-01"), record.stat().st_mtime_ns
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    half = output / "sub-02/anat/.sub-02_T1w.nii.gz.1.tmp"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half an image")
    os.utime(half, (0, 0))

    ended = run_program("fedbrain.prepare", root, *FLAGS)
    assert "1 prepared, 1 already there, 0 failed" in ended.stdout
    assert not list(scratch.iterdir())
    assert contents(output, "sub-01") == kept
    assert record.stat().st_mtime_ns == written
    alone = tmp_path / "alone"  # never killed
    run_program("fedbrain.prepare", root, *FLAGS, "--include=sub-02", f"--output={alone}")
    assert contents(output, "sub-02") == contents(alone, "sub-02")
    assert len(json.loads(record.read_text())["Sizes"]) == 2
    assert len((output / "quality.tsv").read_text().splitlines()) == 3
