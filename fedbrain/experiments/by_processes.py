"""Runs an experiment by one process or several that were started together.

Process 0 writes the work directory and prints. The others do the same steps in a folder that is
thrown away, and print into a file of their own, WORKDIR/logs/process<k>.txt.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fedbrain.data.scratch import scratch
from fedbrain.experiments import interrupt
from fedbrain.experiments.writing import require_writable, writing
from fedbrain.processes import peers, running
from fedbrain.processes.place import ALONE, Place
from fedbrain.processes.start import Store, start
from fedbrain.processes.watch import AGAIN, REQUEUE, Lost, Verdict, Watch, leave, on_abort

INTERRUPTED = 130  # exit code after SIGINT or SIGTERM


def run(config: Any, workdir: Path, *, more_rounds: bool = False, place: Place = ALONE) -> None:
    """Runs an experiment.

    Args:
      config: an `ml_collections.ConfigDict` with the fields of `configs/base.py`.
      workdir: where results go; the same call resumes an interrupted run, also by another number of
        processes.
      more_rounds: whether `config.rounds` may be more than those of the run in `workdir`.
      place: of this process, by flags.

    Raises:
      ValueError: one sentence that names the file or the field, or says why another process left.
    """
    together = start(place)
    from fedbrain.experiments.experiment import run as conduct  # it computes when it is imported

    if not together:
        return conduct(config, workdir, more_rounds=more_rounds)
    watch = Watch(Store(), peers.index(), peers.count(), interrupt.request)
    running.begin(watch)
    handler = on_abort(watch)
    try:
        _run_together(
            config, workdir, partial(conduct, more_rounds=more_rounds and not peers.index())
        )
    except BaseException as error:
        verdict = verdict_of(error)
        watch.tell(verdict)
        atexit.register(leave, verdict.code)  # before JAX's own, which waits for all processes
        atexit.register(lambda: handler)  # it lives as long: the coordinator may go first
        raise
    watch.close()
    running.end()
    signal.signal(signal.SIGABRT, signal.SIG_DFL)


def verdict_of(error: BaseException) -> Verdict:
    """What the other processes are told about the end of this one.

    Args:
      error: that ends it.
    """
    if isinstance(error, KeyboardInterrupt):
        return Verdict(f"interrupted. {AGAIN}", INTERRUPTED)
    sentence = (str(error).splitlines() or [""])[0]
    if isinstance(error, Lost):
        return Verdict(sentence, INTERRUPTED if "interrupted" in sentence else REQUEUE)
    if isinstance(error, ValueError):
        return Verdict(sentence, 1)
    return Verdict(f"{type(error).__name__}: {sentence}", 1)


def _run_together(config: Any, workdir: Path, conduct: Callable[[Any, Path], None]) -> None:
    with quiet_stdout():
        peers.exchange("here")
    driver = config.driver.strip()
    if not driver.startswith(("auto", "processes")):
        raise ValueError(
            f"config.driver: expected processes({driver}), since {peers.count()} processes were"
            f" started, got {driver!r}. Or start one process."
        )
    if peers.index() == 0:
        conduct(config, workdir)
        peers.exchange("done")
        return
    require_writable(workdir)
    log = workdir.absolute() / "logs" / f"process{peers.index()}.txt"
    with writing(workdir):
        log.parent.mkdir(parents=True, exist_ok=True)
        write_into(log)
    with scratch() as folder:
        conduct(config, folder / workdir.name)
        peers.exchange("done")


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Drops what libraries print while they connect."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def write_into(path: Path) -> None:
    """Sends what this program and its libraries print to the end of a file.

    Args:
      path: of the file.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
