"""Supervises a run: submits a job, watches it, and submits it again after any loss, from the last
round that is done.

A job lasts as long as nothing breaks: processes that live on stay compiled. What breaks one (a
site's or the server's process, the network) ends it, and the next one goes on from the server's
checkpoint.
"""

import itertools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from fedbrain.deploy.server_side.failures import Failures, count_failure
from fedbrain.deploy.server_side.hand_over import forget_orders
from fedbrain.deploy.server_side.status import lose_sites, lost_sites, read_status
from fedbrain.experiments.workdir import write_json

POLL_S = 1.0  # seconds between looks
STALE_S = 20.0  # the status file is written every two seconds: an older one is of a dead process
BACKOFF_S = (2.0, 60.0)  # before a job that follows one without progress: doubled up to the second


@runtime_checkable
class Engine(Protocol):
    """See `fedbrain.deploy.nvflare.session.Lead`. Everything may raise ConnectionError."""

    def submit(self, job: Path) -> str:
        """Submits the job in a folder; its id."""
        ...

    def state(self, job: str) -> str:
        """What the engine says of a job: RUNNING, FINISHED..., GONE, LOST."""
        ...

    def abort(self, job: str) -> None:
        """Stops a job."""
        ...

    def forget(self, job: str) -> None:
        """Removes a job that is over from the server's disk."""
        ...

    def sites(self) -> Mapping[str, float]:
        """Connected sites, and seconds since the last contact with each."""
        ...

    def idle(self, job: str) -> set[str]:
        """Connected sites that do not run a job."""
        ...


class Run(NamedTuple):
    """A run of an experiment over a consortium."""

    job: Path  # folder to submit
    workdir: Path  # of the server's side
    sites: list[str]  # names, as in their certificates
    fewest: int  # sites without which no round counts


Notify = Callable[[str], None]  # takes a sentence about an event


def supervise(
    engine: Engine,
    run: Run,
    notify: Notify,
    *,
    show: Callable[[Mapping[str, Any]], None] = lambda status: None,
) -> None:
    """Returns when `results.json` is there.

    Args:
      engine: a session with the server.
      run: what to supervise.
      notify: takes a sentence about what happened.
      show: takes the status, a second apart.

    Raises:
      ValueError: when sites refuse the job in a way that the next one would meet too, and no round
        can be run without them; when several jobs in a row fail without a finished round.
    """
    wait, failures = BACKOFF_S[0], Failures()
    while not (run.workdir / "results.json").is_file():
        job = _adopt(engine, run)
        if (run.workdir / "results.json").is_file():  # they came when a finished job was looked at
            break
        job = job or _submit(engine, run, notify)
        if job is not None:
            why = _watch(engine, run, job, notify, show)
            engine.forget(job)
            if (run.workdir / "results.json").is_file():
                break
            status = read_status(run.workdir)
            notify(f"Job {job} ended after round {status.get('round', 0)}: {why}")
            _require_no_refusal(run, status, why)
            done, failures = failures.done, count_failure(failures, status, why)
            wait = BACKOFF_S[0] if failures.done > done else wait
        time.sleep(wait)
        wait = min(2 * wait, BACKOFF_S[1])


def _require_no_refusal(run: Run, status: Mapping[str, Any], why: str) -> None:
    """Refuses to go on after a job that ended because of what sites do not want. The first round
    wants all sites; later ones go on while enough are left.
    """
    final = status.get("final", {})
    if status.get("round", 0) > 0 and len(set(run.sites) - set(final)) >= run.fewest:
        return
    if status.get("problem") == why and final:
        reasons = "; ".join(f"{site}: {reason}" for site, reason in sorted(final.items()))
        said = "" if all(reason in why for reason in final.values()) else f"{why} "
        raise ValueError(
            f"The run ends: {said}Sites would refuse the same job again: {reasons}. Ask them and"
            " give the same command, or give another experiment another --workdir."
        )


def _adopt(engine: Engine, run: Run) -> str | None:
    """The job that an earlier supervisor submitted, when it is still going on."""
    path = run.workdir / "job.json"
    if path.is_file():
        job = json.loads(path.read_text(encoding="utf-8"))["job"]
        try:
            if not is_over(engine.state(job)):
                return job
        except ConnectionError:
            return job  # to be watched until the server is back
    return None


def _submit(engine: Engine, run: Run, notify: Notify) -> str | None:
    try:
        here = set(engine.sites()) & set(run.sites)
        if len(here) < run.fewest:
            missing = ", ".join(sorted(set(run.sites) - here))
            notify(
                f"Waiting: {len(here)} sites are connected, {run.fewest} are needed. Missing:"
                f" {missing}."
            )
            return None
        forget_orders(run.workdir)
        job = engine.submit(run.job)
        write_json(run.workdir / "job.json", {"job": job, "time": time.time()})
        notify(f"Job {job} submitted, with {', '.join(sorted(here))}.")
        return job
    except (ConnectionError, LookupError) as error:
        notify(f"Waiting: the server does not answer: {error}")
        return None


def _watch(
    engine: Engine, run: Run, job: str, notify: Notify, show: Callable[[Mapping[str, Any]], None]
) -> str:
    """Looks until the job is over, or stops it when its process is dead; why it ended."""
    began = time.time()
    server_answers = True
    looks_without_process = 0
    idle: set[str] = set()
    here: Mapping[str, float] = {}
    for look in itertools.count():
        time.sleep(POLL_S)
        status = read_status(run.workdir)
        fresh = float(status.get("time", 0)) > began
        show({**status, "contact_s": here})
        try:
            state = engine.state(job)
            if not server_answers:
                notify("The server answers again.")
            server_answers = True
            looks_without_process = looks_without_process + 1 if state == "LOST" else 0
            if is_over(state):
                return _why_over(run, began) or state
            if looks_without_process >= 3 or (
                fresh and state == "RUNNING" and time.time() - status["time"] > STALE_S
            ):
                engine.abort(job)
                (run.workdir / "job.json").unlink(
                    missing_ok=True
                )  # the engine may call it running for ever
                return (fresh and status.get("problem")) or "its process at the server is gone"
            if look % 3 == 0 and fresh:
                here = {name: round(s, 1) for name, s in engine.sites().items()}
                _call_back(run, status, here)
                idle = _give_up(engine, run, job, idle, set(status.get("waiting", [])), notify)
        except (ConnectionError, LookupError) as error:
            if server_answers:
                notify(f"The server does not answer: {error}")
            server_answers = False
    raise AssertionError("counting does not end")


def _give_up(
    engine: Engine, run: Run, job: str, before: set[str], waiting: set[str], notify: Notify
) -> set[str]:
    """Tells the server's side of sites that are connected but do not run the job: seen twice, since
    one may just start.
    """
    idle = engine.idle(job) & waiting - lost_sites(run.workdir)
    gone = before & idle
    if gone:
        lose_sites(run.workdir, gone | lost_sites(run.workdir))
        notify(
            f"Without {', '.join(sorted(gone))} until the next job: the process for this one is"
            " gone."
        )
    return idle


def _call_back(run: Run, status: Mapping[str, Any], here: Mapping[str, float]) -> None:
    """Ends the job after this round when a site that it lost is connected again: the next job has
    all of them.
    """
    lost = {name for name, why in status.get("left_out", {}).items() if why.startswith("no answer")}
    if lost & set(here):
        (run.workdir / "stop").touch()


def _why_over(run: Run, began: float) -> str:
    """The problem that a job which began then told last."""
    status = read_status(run.workdir)
    return str(status.get("problem", "")) if float(status.get("time", 0)) > began else ""


def is_over(state: str) -> bool:
    """Whether a job will not go on.

    Args:
      state: as the engine names it.
    """
    return state == "GONE" or state.startswith("FINISHED")
