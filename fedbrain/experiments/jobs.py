"""Several experiments, each in a folder of its own, run by one process or shared by several."""

import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain import progress
from fedbrain.experiments.clients import load_sites
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.leases import Busy, is_held

WAIT_S = 5.0  # between two looks at what other processes have finished
Conduct = Callable[[Any, Path], None]  # runs the experiment of a configuration in a folder


class Job(NamedTuple):
    """One experiment."""

    name: str  # for sentences: of the row and the seed, or of the method and the setting
    config: Any  # an `ml_collections.ConfigDict` of an experiment
    folder: Path  # its work directory
    needs: Path | None = None  # work directory of the experiment that it starts from

    @property
    def done(self) -> bool:
        """Whether its results are there."""
        return is_done(self.folder)


def is_done(folder: Path) -> bool:
    """Whether the results of an experiment are there.

    Args:
      folder: its work directory.
    """
    return (folder / "results.json").is_file()


def attempt(job: Job, conduct: Conduct) -> bool:
    """Runs an experiment to its end; False when another process is at work on it, or on the one
    that it starts from.

    What the experiment prints is kept beside its results, in `log.txt`.

    Args:
      job: the experiment.
      conduct: runs it.

    Raises:
      ValueError: naming the job, when the experiment cannot be run.
    """
    if is_held(job.folder) or (job.needs is not None and not is_done(job.needs)):
        return False
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with (job.folder / "log.txt").open("a") as log, redirect_stdout(log):
            conduct(job.config, job.folder)
    except Busy:
        return False
    except ValueError as error:
        raise ValueError(f"{job.name}: {error}") from None
    return True


def require_readable(jobs: Sequence[tuple[str, Any]]) -> None:
    """Reads the fields and looks at the sites of all experiments, so that what the last one would
    be refused for is told before the first one runs.

    Args:
      jobs: (name, for the sentence; configuration) of each.

    Raises:
      ValueError: naming the job and the field or every site.
    """
    seen: list[Any] = []
    for name, config in jobs:
        try:
            experiment = read_experiment(config)
            data = (config.sites, config.prepare, config.modalities)
            if data not in seen:
                seen.append(data)
                load_sites(experiment, scratch=Path(experiment.cache, "not-prepared"))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def run_all(jobs: Sequence[Job], conduct: Conduct, *, title: str) -> None:
    """Runs every experiment that is not finished, and not at work in another process, until all
    are.

    Args:
      jobs: the experiments.
      conduct: runs one.
      title: of the progress bar.

    Raises:
      ValueError: naming the job, when an experiment cannot be run.
    """
    with progress.Steps(title, unit="experiment", total=len(jobs)) as steps:
        while left := [job for job in jobs if not job.done]:
            for job in left:
                steps.now(job.name)
                if not job.done and attempt(job, conduct):
                    steps.reach(sum(job.done for job in jobs), f"{job.name} is finished")
                    break
            else:
                time.sleep(WAIT_S)  # other processes are at work on what is left
