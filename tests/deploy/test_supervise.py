"""A run is seen through whatever its engine does; a job is never left to itself, never doubled,
never given up silently.
"""

import json

import pytest

from fedbrain.deploy.protocol.outlook import Awaited, Outlook
from fedbrain.deploy.server_side import supervise as module
from fedbrain.deploy.server_side.exchange import SILENT, require_enough
from fedbrain.deploy.server_side.failures import MOST
from fedbrain.deploy.server_side.status import Progress, lose_sites, lost_sites
from fedbrain.deploy.server_side.supervise import Run, supervise
from fedbrain.experiments.workdir import write_json

SITES = ["amber", "birch", "cedar"]


class Fake:
    """An engine that follows a script: each job is a list of states or exceptions."""

    def __init__(self, workdir, jobs, *, here=SITES, ends=None):
        self.workdir, self.jobs, self.here, self.ends = workdir, jobs, set(here), ends
        self.submitted, self.aborted, self.without = 0, [], set()
        self.forgotten = []

    def submit(self, job):
        self.submitted += 1
        return str(self.submitted - 1)

    def state(self, job):
        states = self.jobs[int(job)]
        state = states.pop(0) if len(states) > 1 else states[0]
        if isinstance(state, Exception):
            raise state
        if callable(state):
            state = state()
        if int(job) == (
            len(self.jobs) - 1 if self.ends is None else self.ends
        ) and state.startswith("FINISHED"):
            write_json(self.workdir / "results.json", {})
        return state

    def abort(self, job):
        self.aborted.append(job)

    def forget(self, job):
        self.forgotten.append(job)

    def sites(self):
        return dict.fromkeys(self.here, 1.0)

    def idle(self, job):
        return self.without


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "POLL_S", 0.0)
    monkeypatch.setattr(module, "BACKOFF_S", (0.0, 0.0))


def _see(workdir, engine, **how):
    told = []
    supervise(engine, Run(workdir / "job", workdir, SITES, **{"fewest": 2, **how}), told.append)
    return told


def test_a_job_that_ends_without_results_is_followed_by_another(tmp_path):
    engine = Fake(
        tmp_path,
        [["RUNNING", "FINISHED:EXECUTION_EXCEPTION"], ["GONE"], ["RUNNING", "FINISHED:COMPLETED"]],
    )
    told = _see(tmp_path, engine)
    assert engine.submitted == 3
    assert engine.forgotten == ["0", "1", "2"]
    assert [t for t in told if "ended" in t] == [
        "Job 0 ended after round 0: FINISHED:EXECUTION_EXCEPTION",
        "Job 1 ended after round 0: GONE",
    ]


def test_a_server_that_is_away_is_waited_for_and_told_of_once(tmp_path):
    away = ConnectionError("no route")
    engine = Fake(tmp_path, [["RUNNING", away, away, away, "RUNNING", "FINISHED:COMPLETED"]])
    told = _see(tmp_path, engine)
    assert [t for t in told if "answer" in t] == [
        "The server does not answer: no route",
        "The server answers again.",
    ]


def test_a_job_without_a_process_is_stopped_and_followed_by_another(tmp_path):
    engine = Fake(tmp_path, [["RUNNING", "LOST"], ["FINISHED:COMPLETED"]])
    told = _see(tmp_path, engine)
    assert engine.aborted == ["0"]
    assert "Job 0 ended after round 0: its process at the server is gone" in told


def test_a_process_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STALE_S", -1.0)

    def speak():
        Progress(tmp_path).update(round=4)
        return "RUNNING"

    engine = Fake(tmp_path, [[speak], ["FINISHED:COMPLETED"]])
    assert "Job 0 ended after round 4: its process at the server is gone" in _see(tmp_path, engine)


def test_too_few_sites_are_waited_for(tmp_path):
    engine, looks = Fake(tmp_path, [["FINISHED:COMPLETED"]], here=["amber"]), []
    sites = engine.sites
    engine.sites = lambda: (
        looks.append(1),
        sites() if len(looks) < 3 else dict.fromkeys(SITES, 0.0),
    )[1]
    told = _see(tmp_path, engine)
    assert told[0] == "Waiting: 1 sites are connected, 2 are needed. Missing: birch, cedar."
    assert told[-1] == "Job 0 submitted, with amber, birch, cedar."


def test_a_job_that_goes_on_is_adopted_by_the_next_supervisor(tmp_path):
    write_json(tmp_path / "job.json", {"job": "0"})
    engine = Fake(tmp_path, [["RUNNING", "RUNNING", "FINISHED:COMPLETED"]])
    _see(tmp_path, engine)
    assert engine.submitted == 0


def test_a_site_whose_process_is_gone_is_given_up_after_two_looks_and_called_back(tmp_path):
    def speak(**news):
        def state():
            Progress(tmp_path).update(waiting=["birch"], **news)
            return "RUNNING"

        return state

    engine = Fake(
        tmp_path,
        [[*[speak()] * 10, *[speak(left_out={"birch": "no answer"})] * 6, "FINISHED:COMPLETED"]],
    )
    engine.without = {"birch"}
    told = _see(tmp_path, engine)
    assert told.count("Without birch until the next job: the process for this one is gone.") == 1
    assert lost_sites(tmp_path) == {"birch"}
    assert (tmp_path / "stop").exists()


def test_what_was_lost_is_forgotten_with_the_next_job(tmp_path):
    lose_sites(tmp_path, {"birch"})
    (tmp_path / "stop").touch()
    _see(tmp_path, Fake(tmp_path, [["FINISHED:COMPLETED"]]))
    assert not lost_sites(tmp_path)
    assert not (tmp_path / "stop").exists()
    assert json.loads((tmp_path / "job.json").read_text())["job"] == "0"


def test_a_refusal_that_would_come_again_ends_the_run_in_words(tmp_path):
    def refuse():
        Progress(tmp_path).update(problem="Expected every site.", final={"birch": "target: no"})
        return "RUNNING"

    engine = Fake(tmp_path, [[refuse, "FINISHED:EXECUTION_EXCEPTION"], ["FINISHED:COMPLETED"]])
    with pytest.raises(ValueError, match=r"Expected every site. .*refuse .* again: birch: target"):
        _see(tmp_path, engine)
    assert engine.submitted == 1


def test_a_site_that_waits_for_a_person_is_asked_again(tmp_path):
    def wait():
        progress = Progress(tmp_path)
        progress.refused("birch", "job: expected one that a person approved", Outlook.WAITS)
        progress.update(problem="Expected every site of the consortium at the first start.")
        return "RUNNING"

    engine = Fake(tmp_path, [[wait, "FINISHED:EXECUTION_EXCEPTION"], ["FINISHED:COMPLETED"]])
    _see(tmp_path, engine)
    assert engine.submitted == 2


def _fails(workdir, error, rounds=0, sites=None):
    """A job whose server's side ends with an error after a round; sites say `sites` before."""

    def state():
        progress = Progress(workdir)
        for site, outlook in (sites or {}).items():
            progress.refused(site, "EXECUTION_EXCEPTION", outlook)
        progress.update(round=max(rounds, progress.status["round"]))
        progress.stopped_by(error)
        return "RUNNING"

    return [state, "FINISHED:EXECUTION_EXCEPTION"]


def test_a_job_that_fails_at_every_start_ends_the_run_in_one_sentence(tmp_path):
    jobs = [_fails(tmp_path, OSError(28, "No space left on device")) for _ in range(MOST + 5)]
    engine = Fake(tmp_path, jobs)
    with pytest.raises(ValueError, match="^The run ends") as told:
        _see(tmp_path, engine)
    assert str(told.value) == (
        f"The run ends: {MOST} jobs in a row ended without a finished round, the last one with:"
        " OSError: [Errno 28] No space left on device. Mend that (log.txt of the server's and the"
        " sites' kits say more), then give the same command: it goes on after round 0."
    )
    assert engine.submitted == MOST


def test_a_finished_round_begins_the_count_anew(tmp_path):
    jobs = [_fails(tmp_path, RuntimeError("x"), rounds=k // (MOST - 1)) for k in range(3 * MOST)]
    engine = Fake(tmp_path, [*jobs, ["FINISHED:COMPLETED"]])
    _see(tmp_path, engine)
    assert engine.submitted == 3 * MOST + 1


def test_a_site_that_fails_at_every_start_ends_the_run_and_one_that_is_away_does_not(tmp_path):
    few = Awaited("round 1, training: expected answers of at least 3 sites, got 2")
    sick = {"birch": Outlook.UNKNOWN}
    engine = Fake(tmp_path, [_fails(tmp_path, few, sites=sick) for _ in range(2 * MOST)])
    with pytest.raises(ValueError, match=f"{MOST} jobs in a row .* got 2. Mend"):
        _see(tmp_path, engine)
    away = [_fails(tmp_path, few) for _ in range(2 * MOST)]
    engine = Fake(tmp_path, [*away, ["FINISHED:COMPLETED"]])
    _see(tmp_path, engine)
    assert engine.submitted == 2 * MOST + 1


@pytest.mark.parametrize(
    "state", ["FINISHED:FAILED_TO_RUN", "FINISHED:EXECUTION_EXCEPTION", "GONE"]
)
def test_jobs_that_end_before_they_say_a_word_are_counted_too(tmp_path, state):
    engine = Fake(tmp_path, [[state] for _ in range(2 * MOST)], ends=99)
    with pytest.raises(ValueError, match=f"the last one with: {state}. Mend"):
        _see(tmp_path, engine)


def test_silence_is_waited_for_and_a_wrong_answer_is_not():
    with pytest.raises(Awaited, match="birch: no answer"):
        require_enough({}, {"birch": SILENT}, 1, "round 1, training")
    with pytest.raises(ValueError, match="birch: norm") as told:
        require_enough({}, {"birch": "norm: expected less", "amber": SILENT}, 1, "round 1")
    assert not isinstance(told.value, Awaited)
