"""`fedbrain compare` by two processes in one folder: they share the cells, and one is killed in the
middle of a cell.
"""

import signal
from pathlib import Path

import pytest

from fedbrain.experiments.leases import is_held
from fedbrain.experiments.study import cells
from tests.experiments.test_study import small
from tests.processes.test_processes import together, wait
from tests.programs import run_program

RULES = ("weighted_mean", "median", "uniform_mean", "geometric_median", "sqrt_mean", "fednova")
CONFIG = "from tests.experiments.test_shared_study import study as get_config\n"
NOTING = """
import os, time
from fedbrain.experiments import study_measure
from fedbrain.experiments.study_cell import run_cell

def note(word, cell):
    with open({notes!r}, "a") as file:
        file.write(f"{{word}} {{cell.method}} {{os.getpid()}}\\n")

def noted(cell, *rest):
    note("began", cell)
    scores = run_cell(cell, *rest)
    if cell.method == "median" and not os.path.exists({held!r}):
        open({held!r}, "x").close()
        time.sleep(3600)
    note("ended", cell)
    return scores

study_measure.run_cell = noted
"""


def study():
    config = small()
    config.methods = {rule: {"server": {"aggregator": f"{rule}()"}} for rule in RULES}
    return config


class Notes:
    """Which process began and ended which cell, a line each."""

    def __init__(self, path: Path):
        self.path = path

    def of(self, word):
        """Pairs of method and process."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        rows = [line.split() for line in lines]
        return [(method, int(pid)) for found, method, pid in rows if found == word]


@pytest.mark.slow
def test_each_cell_is_run_once_although_one_of_two_processes_is_killed_in_mid_cell(tmp_path):
    """The one that has the second cell stays in it until the signal; the other one ends the
    study, that cell too.
    """
    notes, reached = Notes(tmp_path / "notes.txt"), tmp_path / "held"
    noting = NOTING.format(notes=str(notes.path), held=str(reached))
    (tmp_path / "noting.py").write_text(CONFIG + noting)
    workdir = tmp_path / "run"
    started = together(
        lambda *_: [
            *("-m", "fedbrain.compare", f"--config={tmp_path}/noting.py", f"--workdir={workdir}")
        ],
        2,
        tmp_path,
    )
    wait(started, tmp_path, lambda: reached.exists() and len(notes.of("ended")) >= 2)
    victim = next(pid for method, pid in notes.of("began") if method == "median")
    number = [process.pid for process in started].index(victim)
    started[number].send_signal(signal.SIGKILL)
    codes = wait(started, tmp_path)
    said = [(tmp_path / f"err{k}.txt").read_text()[-2000:] for k in (0, 1)]
    assert (codes[number], codes[1 - number]) == (-signal.SIGKILL, 0), said

    methods = [cell.method for cell in cells(study())]
    assert sorted(method for method, _ in notes.of("ended")) == sorted(methods)
    began = sorted(method for method, _ in notes.of("began"))
    assert began == sorted([*methods, "median"])
    assert len(list((workdir / "cells").glob("*.json"))) == len(methods)
    assert not any(is_held(lease) for lease in (workdir / "cells/leases").iterdir())

    (tmp_path / "alone.py").write_text(CONFIG)
    alone = run_program(
        "fedbrain.compare", f"--config={tmp_path}/alone.py", f"--workdir={tmp_path}/alone"
    )
    assert alone.returncode == 0, alone.stderr
    of = [(folder / "comparison.json").read_bytes() for folder in (workdir, tmp_path / "alone")]
    assert of[0] == of[1]
