"""kill -9 at random moments, saves included; then the same command: the same bits as a run that was
left alone.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A shell's background jobs ignore Ctrl-C, and their children inherit that: take it back, then
# become the program.
OBEY = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def _start(workdir, cache, rounds, regimes):
    command = [
        sys.executable,
        "-m",
        "tests.experiment_under_test",
        str(workdir),
        str(cache),
        str(rounds),
        *regimes,
    ]
    environment = os.environ | {"XLA_FLAGS": ""}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _finish(process):
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()[-2000:]


def _kill_many_times(tmp_path, kills, rounds, regimes):
    began = time.monotonic()
    _finish(_start(tmp_path / "whole", tmp_path / "cache", rounds, regimes))
    duration = time.monotonic() - began
    rng, killed = random.Random(0), 0
    while killed < kills:
        process = _start(tmp_path / "killed", tmp_path / "cache", rounds, regimes)
        try:
            process.wait(
                timeout=(
                    rng.uniform(0.4, 1.0) * duration
                    if killed % 2
                    else rng.uniform(0.2, 0.5) * duration
                )
            )
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
        results = tmp_path / "killed/results.json"
        if (
            results.exists()
        ):  # it came to its end before the signal: take some rounds back and go on
            results.unlink()
            for manifest in (tmp_path / "killed").rglob("manifests/*.json"):
                manifest.unlink()
    _finish(_start(tmp_path / "killed", tmp_path / "cache", rounds, regimes))
    whole, survived = (
        json.loads((tmp_path / n / "results.json").read_text()) for n in ("whole", "killed")
    )
    assert survived["variables_sha256"] == whole["variables_sha256"]
    assert survived == whole


def test_two_kills(tmp_path):
    _kill_many_times(tmp_path, kills=2, rounds=6, regimes=["federated"])


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    _kill_many_times(tmp_path, kills=20, rounds=30, regimes=["federated", "centralised", "local"])


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM of a cluster"]
)
def test_an_interrupted_run_says_how_to_go_on(tmp_path, number):
    """The round in progress is lost, earlier ones are saved; the last line says what to do."""
    command = [sys.executable, "-c", OBEY, "-m", "fedbrain.main", "--config=configs/quickstart.py"]
    sites = [
        f"--config.sites.{h}=synthetic('{h}', subjects=15)" for h in ("amber", "birch", "cedar")
    ]
    command += [f"--workdir={tmp_path / 'run'}", *sites]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    metrics = tmp_path / "run/runs/federated/repeat0-split0/metrics.jsonl"
    deadline = time.monotonic() + 120
    while (
        not (metrics.exists() and metrics.read_text().count("\n") >= 3)
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()[-2000:]
    assert b"Stopping at the next batch" in errors
    assert b"The same command goes on from the last round." in errors
    assert b"Traceback" not in errors
    steps = tmp_path / "run/runs/federated/repeat0-split0/checkpoints/manifests"
    assert max(int(p.stem) for p in steps.glob("*.json")) >= 2
