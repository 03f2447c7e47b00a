"""kill -9 of process 0 and of another one, in mid-round and in mid-save: the same command by two
processes, and in the end by one, has the bits of a run that was left alone.
"""

import signal
from itertools import product

import pytest

from fedbrain import main
from fedbrain.processes.watch import REQUEUE
from tests.experiment_under_test import config
from tests.processes.test_processes import Experiment, contents, wait

pytestmark = pytest.mark.slow
ROUNDS = 40


def in_mid_save(run):
    """A checkpoint has another name until it is whole."""
    steps = run.workdir.glob("runs/*/*/checkpoints/steps/*")
    return any(not path.name.isdigit() for path in steps)


def in_mid_round(run):
    return not in_mid_save(run)


def require_bits_of_one(run):
    """One process ends the run, and runs another one undisturbed."""
    alone = run.folder / "alone"
    for workdir in (run.workdir, alone):
        main.run(config(run.folder / "cache", ROUNDS, ("federated",)), workdir)
    assert contents(run.workdir) == contents(alone)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("time", range(10))
def test_four_kills(tmp_path, time):
    """Of both processes at both moments; with all ten times, each is killed ten times at each."""
    del time  # the moment itself differs
    run = Experiment(tmp_path, ROUNDS)
    for victim, moment in product((0, 1), (in_mid_round, in_mid_save)):
        goal = run.saved + 1
        started = run.start(2)
        wait(started, tmp_path, lambda goal=goal: run.saved >= goal)
        wait(started, tmp_path, lambda moment=moment: moment(run))
        started[victim].kill()
        codes = wait(started, tmp_path)
        assert codes[victim] == -signal.SIGKILL
        assert codes[1 - victim] == REQUEUE, run.errors(1 - victim)[-2000:]
        assert run.saved >= goal
    require_bits_of_one(run)


@pytest.mark.usefixtures("no_figures")
def test_four_then_two_then_one(tmp_path):
    """Another number of processes goes on after each SIGTERM."""
    run = Experiment(tmp_path, ROUNDS)
    for number in (4, 2):
        goal = run.saved + 2
        started = run.start(number)
        wait(started, tmp_path, lambda goal=goal: run.saved >= goal)
        started[number - 1].terminate()
        assert wait(started, tmp_path) == [130] * number, run.errors(0)[-2000:]
    assert run.saved < ROUNDS
    require_bits_of_one(run)
