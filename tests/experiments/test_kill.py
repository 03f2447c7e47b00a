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

from fedbrain import main
from tests.experiment_under_test import config

ROOT = Path(__file__).parents[2]
HANGS_S = 1200  # no test waits for seconds: only a child that hangs is ended after so many

# A shell's background jobs ignore Ctrl-C, and their children inherit that: take it back, then
# become the program.
OBEY = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def _start(command, folder, **environment):
    """A process of its own; what it says is kept in a file, so that it never waits for a reader."""
    with (folder / "errors.txt").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def _wait(process, folder, event=lambda: False):
    """Waits until `event()` is true or the process has ended; whether the process still runs."""
    give_up = time.monotonic() + HANGS_S
    while process.poll() is None and not event():
        if time.monotonic() > give_up:
            process.kill()
            process.wait()
            pytest.fail(f"The run hangs: nothing happened in {HANGS_S} s. {_errors(folder)}")
        time.sleep(0.005)
    return process.poll() is None


def _errors(folder):
    return (folder / "errors.txt").read_text()


def _run(folder, workdir, scans, rounds, regimes):
    module = "tests.experiment_under_test"
    command = ["-m", module, folder / workdir, scans, str(rounds), *regimes]
    return _start(command, folder, XLA_FLAGS="")


def _saved(workdir):
    """Rounds whose checkpoint is complete, of all federations."""
    newest = {}
    for path in workdir.glob("runs/*/*/checkpoints/manifests/[0-9]*.json"):
        newest[path.parent] = max(int(path.stem), newest.get(path.parent, 0))
    return sum(newest.values())


def _saving(workdir):
    """Whether a checkpoint is being written: it has another name until it is whole."""
    steps = workdir.glob("runs/*/*/checkpoints/steps/*")
    return any(not path.name.isdigit() for path in steps)


def _kill_many_times(tmp_path, scans, kills, rounds, regimes, apart):
    """Every other kill hits a save; the others a moment after one, in training or validation. They
    are up to `apart` rounds apart. This process trains undisturbed, and ends the run.
    """
    undisturbed = config(scans, rounds, regimes)
    main.run(undisturbed, tmp_path / "whole")
    rng, killed, workdir = random.Random(0), 0, tmp_path / "killed"
    while killed < kills:
        goal = _saved(workdir) + rng.randint(1, apart)
        process = _run(tmp_path, "killed", scans, rounds, regimes)
        running = _wait(process, tmp_path, lambda goal=goal: _saved(workdir) >= goal)
        if killed % 2:
            running = _wait(process, tmp_path, lambda: _saving(workdir))
        else:
            time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        killed += running and process.wait() == -signal.SIGKILL
        results = workdir / "results.json"
        if (
            results.exists()
        ):  # it came to its end before the signal: take some rounds back and go on
            results.unlink()
            for manifests in workdir.rglob("manifests"):
                max(manifests.glob("*.json"), key=lambda path: int(path.stem)).unlink()
    main.run(undisturbed, workdir)
    whole, survived = (
        json.loads((tmp_path / n / "results.json").read_text()) for n in ("whole", "killed")
    )
    assert survived["variables_sha256"] == whole["variables_sha256"]
    assert survived == whole


@pytest.mark.usefixtures("shared_programs", "no_figures")
def test_two_kills(tmp_path, scans):
    _kill_many_times(tmp_path, scans, kills=2, rounds=6, regimes=("federated",), apart=2)


@pytest.mark.slow
@pytest.mark.usefixtures("shared_programs", "no_figures")
def test_twenty_kills(tmp_path, scans):
    regimes = ("federated", "centralised", "local")
    _kill_many_times(tmp_path, scans, kills=20, rounds=30, regimes=regimes, apart=7)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM of a cluster"]
)
def test_an_interrupted_run_says_how_to_go_on(tmp_path, scans, number):
    """The round in progress is lost, earlier ones are saved; the last line says what to do."""
    command = ["-c", OBEY, "-m", "fedbrain.main", "--config=configs/quickstart.py"]
    sites = [
        f"--config.sites.{h}=synthetic('{h}', subjects=15)" for h in ("amber", "birch", "cedar")
    ]
    process = _start(
        [*command, f"--config.cache={scans}", *sites, f"--workdir={tmp_path / 'run'}"], tmp_path
    )
    metrics = tmp_path / "run/runs/federated/repeat0-split0/metrics.jsonl"
    assert _wait(
        process, tmp_path, lambda: metrics.exists() and metrics.read_text().count("\n") >= 3
    ), _errors(tmp_path)[-2000:]
    process.send_signal(number)
    _wait(process, tmp_path)
    errors = _errors(tmp_path)
    assert process.returncode == 130, errors[-2000:]
    assert "Stopping at the next batch" in errors
    assert "The same command goes on from the last round." in errors
    assert "Traceback" not in errors
    steps = tmp_path / "run/runs/federated/repeat0-split0/checkpoints/manifests"
    assert max(int(p.stem) for p in steps.glob("*.json")) >= 2
