"""Several processes give the bits of one; what one of them meets ends all; another number goes on.

Ports are free ones, found by the system; every wait has an end.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedbrain import main
from fedbrain.experiments import by_processes
from fedbrain.processes.watch import REQUEUE, Lost
from tests.experiment_under_test import config
from tests.processes import rounds_under_test

ROOT = Path(__file__).parents[2]
HANGS_S = 600  # no test waits for seconds: only processes that hang are ended after so many
ROUNDS = 5
CONFIG = """
from tests import experiment_under_test

def get_config():
    return experiment_under_test.config({cache!r}, {rounds}, {regimes!r})
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


def together(command, number, folder, **environment):
    """Processes that are given their places; what they say is in files of `folder`."""
    address = f"localhost:{free_port()}"
    started = []
    for k in range(number):
        with (folder / f"out{k}.txt").open("wb") as out, (folder / f"err{k}.txt").open("wb") as err:
            started.append(
                subprocess.Popen(
                    [sys.executable, *command(address, number, k)],
                    cwd=ROOT,
                    env=os.environ | {"XLA_FLAGS": ""} | environment,
                    stdout=out,
                    stderr=err,
                )
            )
    return started


def wait(started, folder, event=lambda: False):
    """Until `event()` or the end of all processes; their exit codes."""
    give_up = time.monotonic() + HANGS_S
    while not event() and any(process.poll() is None for process in started):
        if time.monotonic() > give_up:
            for process in started:
                process.kill()
                process.wait()
            pytest.fail(f"Processes hang: {[(folder / f'err{k}.txt').read_text() for k in (0, 1)]}")
        time.sleep(0.01)
    return [process.poll() for process in started]


@pytest.fixture(scope="module")
def digests_of_one():
    return rounds_under_test.digests()


@pytest.mark.parametrize("number", [2, 4])
def test_algorithms_of_several_processes_have_the_bits_of_one(number, digests_of_one, tmp_path):
    """FedAvg, SCAFFOLD, the median with FedAdam, FedBN; in the second round one has a client."""
    module = "tests.processes.rounds_under_test"
    command = lambda *place: ["-m", module, *map(str, place)]  # noqa: E731
    started = together(command, number, tmp_path)
    assert wait(started, tmp_path) == [0] * number, (tmp_path / "err0.txt").read_text()[-2000:]
    for k in range(number):
        told = (tmp_path / f"out{k}.txt").read_text().splitlines()[-1]
        assert json.loads(told) == digests_of_one


class Experiment:
    """An experiment in a folder, by as many processes as wanted."""

    def __init__(self, folder, rounds, regimes=("federated",)):
        self.folder, self.workdir = folder, folder / "run"
        self.rounds = rounds
        self.config = folder / "tiny_experiment.py"
        fields = {"cache": str(folder / "cache"), "rounds": rounds, "regimes": regimes}
        self.config.write_text(CONFIG.format(**fields))

    def start(self, number, **environment):
        def command(address, number, k):
            place = [f"--coordinator={address}", f"--processes={number}", f"--process={k}"]
            files = [f"--config={self.config}", f"--workdir={self.workdir}"]
            return ["-m", "fedbrain.main", *files, *place]

        return together(command, number, self.folder, **environment)

    @property
    def saved(self):
        """The last round whose checkpoint is complete."""
        manifests = self.workdir.glob("runs/*/*/checkpoints/manifests/[0-9]*.json")
        return max((int(path.stem) for path in manifests), default=0)

    def errors(self, k):
        logs = self.workdir / "logs"
        log = logs / f"process{k}.txt"
        return (self.folder / f"err{k}.txt").read_text() + (log.read_text() if k else "")


def contents(workdir):
    """Results, and the log but for the time that rounds took."""
    log = (workdir / "runs/federated/repeat0-split0/metrics.jsonl").read_text()
    lines = [{k: v for k, v in json.loads(x).items() if k != "seconds"} for x in log.splitlines()]
    return (workdir / "results.json").read_bytes(), lines


@pytest.mark.usefixtures("shared_programs", "no_figures")
def test_preempted_and_killed_runs_go_on_by_one_process(tmp_path):
    """SIGTERM to process 1 ends both; then process 1 is killed in mid-round; one process ends the
    run, with the results of an undisturbed one.
    """
    run = Experiment(tmp_path, ROUNDS)
    started = run.start(2)
    wait(started, tmp_path, lambda: run.saved >= 1)
    started[1].send_signal(signal.SIGTERM)
    assert wait(started, tmp_path) == [130, 130], run.errors(0)[-2000:]
    # "Process 1: interrupted" where process 0 waited, "Interrupted" where it computed.
    assert "nterrupted. The same command goes on" in run.errors(0)
    assert "Traceback" not in run.errors(0) + run.errors(1)

    saved = run.saved
    assert 1 <= saved < ROUNDS
    started = run.start(2)
    metrics = run.workdir / "runs/federated/repeat0-split0/metrics.jsonl"
    wait(started, tmp_path, lambda: metrics.read_text().count("\n") > saved)
    started[1].kill()
    killed = time.monotonic()
    assert wait(started, tmp_path) == [REQUEUE, -signal.SIGKILL], run.errors(0)[-2000:]
    assert time.monotonic() - killed < 60
    assert "killed. The same command goes on" in run.errors(0)
    assert run.saved >= saved
    assert not (run.workdir / "results.json").exists()

    main.run(config(tmp_path / "cache", ROUNDS, ("federated",)), run.workdir)
    main.run(config(tmp_path / "cache", ROUNDS, ("federated",)), tmp_path / "alone")
    assert contents(run.workdir) == contents(tmp_path / "alone")


@pytest.mark.usefixtures("shared_programs", "no_figures")
def test_leave_one_site_out_by_two_processes(tmp_path):
    """Process 1 has one client, so nobody where that one is left out: the results of one."""
    regimes = ("federated", "leave_one_site_out")
    run = Experiment(tmp_path, 1, regimes)
    assert wait(run.start(2), tmp_path) == [0, 0], run.errors(0)[-2000:] + run.errors(1)[-2000:]
    main.run(config(tmp_path / "cache", 1, regimes), tmp_path / "alone")
    assert contents(run.workdir) == contents(tmp_path / "alone")


TALK = """
import sys
import time
from fedbrain.processes import peers, running
from fedbrain.processes.place import Place
from fedbrain.processes.start import Store, start
from fedbrain.processes.watch import Watch, on_abort
start(Place(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
watch = Watch(Store(), peers.index(), peers.count(), lambda: None)
running.begin(watch)
handler = on_abort(watch)
sent = {"process": peers.index(), "inf": float("inf")}
assert [one["process"] for one in peers.exchange(sent)] == [0, 1]
print("met", flush=True)
if peers.index() == 0:
    time.sleep(600)
peers.exchange(None)
"""


def test_process_0_is_missed(tmp_path):
    """The coordinator takes JAX's clients with it: they end with a sentence and the exit code."""
    started = together(lambda *place: ["-c", TALK, *map(str, place)], 2, tmp_path)
    wait(started, tmp_path, lambda: "met" in (tmp_path / "out0.txt").read_text())
    started[0].kill()
    assert wait(started, tmp_path) == [-signal.SIGKILL, REQUEUE]
    assert "Process 0 was killed. The same command" in (tmp_path / "err1.txt").read_text()


def test_a_map_for_one_process_is_refused_where_there_are_two(tmp_path, monkeypatch):
    monkeypatch.setattr(by_processes.peers, "count", lambda: 2)
    monkeypatch.setattr(by_processes.peers, "exchange", lambda value: [value, value])
    c = config(tmp_path / "cache")
    c.driver = "loop()"
    with pytest.raises(ValueError, match=r"expected processes\(loop\(\)\), since 2 processes"):
        by_processes._run_together(c, tmp_path / "run", lambda *_: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyboardInterrupt(), ("interrupted", 130)),
        (Lost("Process 1: interrupted. Again."), ("Process 1: interrupted", 130)),
        (Lost("Process 1 has been silent"), ("Process 1 has been silent", REQUEUE)),
        (ValueError("sites.birch: no folder"), ("sites.birch: no folder", 1)),
        (ZeroDivisionError("division by zero"), ("ZeroDivisionError: division by zero", 1)),
    ],
)
def test_what_the_others_are_told(error, verdict):
    sentence, code = by_processes.verdict_of(error)
    assert sentence.startswith(verdict[0])
    assert code == verdict[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_four_processes_survive_ten_kills(tmp_path, seed):
    """Of any of them, at any moment; then two, then one process end the run."""
    rng = random.Random(seed)
    run = Experiment(tmp_path, 16)
    for kill in range(10):
        started = run.start(4)
        goal = run.saved + 1
        wait(started, tmp_path, lambda goal=goal: run.saved >= goal)
        time.sleep(rng.uniform(0, 0.5))
        started[0 if kill % 2 else rng.randrange(1, 4)].kill()
        codes = wait(started, tmp_path)
        assert set(codes) <= {REQUEUE, -signal.SIGKILL, 0}, codes
        assert run.saved >= goal - 1
        if (run.workdir / "results.json").exists():
            break
    assert wait(run.start(2), tmp_path) == [0, 0]
    main.run(config(tmp_path / "cache", 16, ("federated",)), tmp_path / "alone")
    name = "results.json"
    assert (run.workdir / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_hangs_ends_the_others(tmp_path, victim):
    run = Experiment(tmp_path, 50)
    started = run.start(2, FEDBRAIN_SILENT_S="5")
    wait(started, tmp_path, lambda: run.saved >= 1)
    started[victim].send_signal(signal.SIGSTOP)
    other = started[1 - victim]
    assert wait([other], tmp_path) == [REQUEUE], run.errors(1 - victim)[-2000:]
    assert f"Process {victim} has been silent for 5 s" in run.errors(1 - victim)
    started[victim].kill()
    started[victim].wait()


@pytest.mark.slow
def test_clients_of_two_processes_are_spread_over_two_devices_each(tmp_path):
    """The rounds of one process with two devices, bit for bit."""
    two = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    module = "tests.processes.rounds_under_test"
    driver = "shard(devices=2, batch=2)"
    command = lambda *place: ["-m", module, *map(str, place), driver]  # noqa: E731
    started = together(command, 2, tmp_path, **two)
    alone = rounds_under_test.digests(driver)  # tests have two devices, too
    assert wait(started, tmp_path) == [0, 0], (tmp_path / "err0.txt").read_text()[-2000:]
    for k in range(2):
        assert json.loads((tmp_path / f"out{k}.txt").read_text().splitlines()[-1]) == alone
