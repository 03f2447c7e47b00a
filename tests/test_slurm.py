"""`launch/slurm.sbatch` and `launch/slurm_array.sbatch` on a real SLURM, on this machine alone.

apt-get install munge slurmctld slurmd slurm-client
pytest -m slow -n 0 tests/test_slurm.py
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedbrain import main
from tests.experiment_under_test import config
from tests.processes.test_processes import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
HANGS_S = 900  # no test waits for seconds: only a job that hangs is given up after so many
EXPERIMENT = """
from tests import experiment_under_test

def get_config():
    return experiment_under_test.config({cache!r}, 50, ("federated",))
"""
GRID = """
from tests.experiments import test_grid

def get_config():
    return test_grid.tiny({cache!r}, rounds=20)
"""


def until(event):
    give_up = time.monotonic() + HANGS_S
    while not event():
        assert time.monotonic() < give_up, "SLURM or a job hangs."
        time.sleep(0.2)


class Slurm:
    """A cluster of one node."""

    def __init__(self, folder):
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "XLA_FLAGS": ""}
        self.environment |= {"PYTHON": sys.executable}

    def call(self, *command, **variables):
        environment = self.environment | variables
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, *arguments, **variables):
        return self.call("sbatch", "--parsable", *map(str, arguments), **variables).strip()

    def field(self, job, name):
        text = self.call("scontrol", "show", "job", job)
        return re.findall(rf"\b{name}=(\S*)", text)

    def kill(self, job, task):
        """SIGKILL to one task of the first step; columns: PID, JOBID, STEPID, LOCALID, GLOBALID."""
        rows = self.call("scontrol", "listpids", f"{job}.0").splitlines()
        pid = next(row.split()[0] for row in rows if row.split()[4] == str(task))
        os.kill(int(pid), signal.SIGKILL)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if not shutil.which("slurmctld", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("needs SLURM: apt-get install munge slurmctld slurmd slurm-client")
    folder = tmp_path_factory.mktemp("slurm")
    script = [str(ROOT / "launch/try_slurm.sh"), str(folder)]
    environment = os.environ | {"PORT": str(free_port())}
    with subprocess.Popen(script, env=environment, stdout=subprocess.PIPE, text=True) as cluster:
        assert cluster.stdout is not None
        assert cluster.stdout.readline().startswith("SLURM_CONF="), folder
        yield Slurm(folder)
        cluster.terminate()


def saved(folder):
    manifests = folder.glob("runs/*/*/checkpoints/manifests/[0-9]*.json")
    return max((int(path.stem) for path in manifests), default=0)


def submit(slurm, script, text, folder, *flags):
    (folder / "config.py").write_text(text)
    variables = {"CONFIG": str(folder / "config.py"), "WORKDIR": str(folder / "run")}
    small = ("--gpus-per-node=0", "--cpus-per-task=1", f"--output={folder}/%j.log")
    return slurm.submit(*small, *flags, f"launch/{script}.sbatch", **variables)


@pytest.mark.usefixtures("no_figures")
def test_a_job_that_is_preempted_three_times_and_killed_once_ends_in_the_same_bits(slurm, tmp_path):
    """Two tasks. A job in another partition takes their node; then one task is killed."""
    run, log = tmp_path / "run", lambda job: (tmp_path / f"{job}.log").read_text()
    job = submit(slurm, "slurm", EXPERIMENT.format(cache=str(tmp_path / "cache")), tmp_path)
    for restarts in range(4):
        goal = saved(run) + 1
        until(lambda goal=goal: saved(run) >= goal)
        assert slurm.field(job, "Restarts") == [str(restarts)], log(job)
        if restarts < 3:
            urgent = ("--partition=urgent", "--ntasks=4", f"--output={tmp_path}/urgent.log")
            slurm.call("sbatch", "--wait", *urgent, "--wrap=true")
        else:
            slurm.kill(job, task=1)
    until(lambda: slurm.field(job, "JobState") in (["COMPLETED"], ["FAILED"]))
    assert slurm.field(job, "Restarts") == ["4"], log(job)
    assert slurm.field(job, "ExitCode") == ["0:0"], log(job)
    assert log(job).count("Interrupted. The same command goes on") >= 3

    main.run(config(tmp_path / "cache", 50, ("federated",)), tmp_path / "alone")
    assert (run / "results.json").read_bytes() == (tmp_path / "alone/results.json").read_bytes()


def test_two_jobs_of_an_array_share_six_cells_and_one_is_killed(slurm, tmp_path):
    array = submit(
        slurm,
        "slurm_array",
        GRID.format(cache=str(tmp_path / "cache")),
        tmp_path,
        "--array=0-1",
        "--gpus-per-task=0",
    )
    seeds = [tmp_path / "run/first" / f"seed{k}" for k in range(2)]
    until(lambda: all(saved(seed) for seed in seeds))  # one by each job
    number = slurm.field(f"{array}_1", "JobId")[0]
    slurm.kill(number, task=0)
    until(lambda: set(slurm.field(array, "JobState")) <= {"COMPLETED", "FAILED"})
    assert sorted(slurm.field(array, "Restarts")) == ["0", "1"]
    assert set(slurm.field(array, "ExitCode")) == {"0:0"}
    logs = sorted((tmp_path / "run").glob("*/seed*/log.txt"))
    assert len(logs) == 6
    for path in logs:
        assert path.read_text().count("Results, figures and models:") == 1, path
