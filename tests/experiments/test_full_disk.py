"""Disks that fill up: a sentence that names the file, and nothing that was there is lost.

A limit on the size of files stands in for the disk.
"""

import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from fedbrain import main
from fedbrain.analysis.brain_maps import save_map
from fedbrain.analysis.figures import save
from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.report import write_report
from fedbrain.experiments.saved_models import export_model
from tests.experiment_under_test import config

ROOT = Path(__file__).parents[2]
MODEL = {"federation": "federated", "client": "", "split": "repeat0-split0", "torch": False}


@contextmanager
def full():
    """No file can grow beyond 100 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


VOLUME = np.random.default_rng(0).uniform(size=(8, 8, 8))
WRITERS = {
    "o.nii.gz": lambda run, path: save_map(path, VOLUME, 3.0),
    "o.png": lambda run, path: save(Figure(), path),
    "o.txt": lambda run, path: write_whole(path, "x" * 1000),
    "o.html": lambda run, path: write_report(run, path),
    "o.safetensors": lambda run, path: export_model(run, str(path), **MODEL),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_old_file_stays_and_no_half_of_a_new_one(two_rounds, tmp_path, name):
    WRITERS[name](two_rounds, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with full(), pytest.raises((OSError, ValueError), match=rf"{name}.*|File too large"):
        WRITERS[name](two_rounds, tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert (tmp_path / "link").is_symlink()
    reader, writer = os.pipe()
    write_whole(Path(f"/dev/fd/{writer}"), b"text")
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"text"


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 1000, 5000, 20_000])
@pytest.mark.usefixtures("shared_programs", "no_figures")
def test_training_ends_in_one_sentence_and_goes_on_to_the_same_bits(tmp_path, scans, size):
    run = tmp_path / "run"
    configuration = tmp_path / "c.py"
    configuration.write_text(
        "from tests.experiment_under_test import config\n\n\ndef get_config():\n"
        f"    return config({str(scans)!r}, rounds=3, regimes=('federated',))\n"
    )
    main.run(config(scans, rounds=3, regimes=("federated",)), tmp_path / "alone")
    done = subprocess.run(
        ["prlimit", f"--fsize={size}", sys.executable, "-m", "fedbrain.main",
         f"--config={configuration}", f"--workdir={run}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": ""},
    )  # fmt: skip
    assert done.returncode == 1
    # the folder is the run's, or that of its checkpoints
    last = done.stderr.splitlines()[-1]
    assert re.match(rf"fedbrain: {run}[\w/-]*: results cannot be written", last)
    assert "Traceback" not in done.stderr
    main.run(config(scans, rounds=3, regimes=("federated",)), run)
    assert (run / "results.json").read_bytes() == (tmp_path / "alone/results.json").read_bytes()
    metrics = run / "runs/federated/repeat0-split0/metrics.jsonl"
    assert metrics.read_text().count("\n") == 3
