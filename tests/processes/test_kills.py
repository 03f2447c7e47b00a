"""kill -9 of process 0 and of another one, in mid-round and in mid-save: the same command by two
processes, and in the end by one, has the bits of a run that was left alone.
"""

import signal

import pytest

from fedbrain import main
from fedbrain.processes.watch import REQUEUE
from tests.experiment_under_test import config
from tests.processes.test_processes import Experiment, contents, wait

pytestmark = pytest.mark.slow
KILLS, ROUNDS = 10, 60


def in_mid_round(run):
    """A round is logged before it is saved, and a log has more rounds than are saved then."""
    log = run.workdir / "runs/federated/repeat0-split0/metrics.jsonl"
    return log.read_text().count("\n") > run.saved


def in_mid_save(run):
    """A checkpoint has another name until it is whole."""
    steps = run.workdir.glob("runs/*/*/checkpoints/steps/*")
    return any(not path.name.isdigit() for path in steps)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("moment", [in_mid_round, in_mid_save])
@pytest.mark.parametrize("victim", [0, 1])
def test_ten_kills(tmp_path, victim, moment):
    run = Experiment(tmp_path, ROUNDS)
    for _ in range(KILLS):
        goal = run.saved + 1
        started = run.start(2)
        wait(started, tmp_path, lambda goal=goal: run.saved >= goal)
        wait(started, tmp_path, lambda: moment(run))
        started[victim].kill()
        codes = wait(started, tmp_path)
        assert codes[victim] == -signal.SIGKILL
        assert codes[1 - victim] == REQUEUE, run.errors(1 - victim)[-2000:]
        assert run.saved >= goal
    main.run(config(tmp_path / "cache", ROUNDS, ("federated",)), run.workdir)
    main.run(config(tmp_path / "cache", ROUNDS, ("federated",)), tmp_path / "alone")
    assert contents(run.workdir) == contents(tmp_path / "alone")
