"""A lead on another machine than the server's sees what a lead at the server sees, and its orders
arrive.
"""

import shutil
import time

import pytest

from fedbrain.deploy.server_side import supervise as module
from fedbrain.deploy.server_side.hand_over import hand_over, take_orders, take_over, take_start
from fedbrain.deploy.server_side.lead_elsewhere import LeadElsewhere
from fedbrain.deploy.server_side.status import Progress, lose_sites, lost_sites, read_status
from fedbrain.deploy.server_side.supervise import Run, supervise
from fedbrain.experiments.workdir import write_json

SITES = ["amber", "birch", "cedar"]
HOURS_LATE = 7200.0  # of the server's clock


class Far:
    """An engine with a disk of its own: every job works there, and then gives what it has."""

    def __init__(self, disk, jobs):
        self.disk, self.jobs, self.submitted, self.given = disk, jobs, 0, disk / "given"
        self.forgotten, self.waiting = [], set()
        self.work = disk / "work"
        self.work.mkdir(parents=True)

    def submit(self, job):
        self.submitted += 1
        return str(self.submitted - 1)

    def state(self, job):
        steps = self.jobs[int(job)]
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if callable(step):
            step(self.work)
            return "RUNNING"
        if step.startswith("FINISHED"):
            hand_over(self.work, self.given / job / "workspace/fedbrain")
        return step

    def order(self, job, orders):
        return take_orders(self.work, orders)

    def fetch(self, job, folder):
        shutil.copytree(self.given / job, folder / job)

    def abort(self, job):
        raise AssertionError(job)

    def forget(self, job):
        self.forgotten.append(job)

    def sites(self):
        return dict.fromkeys(SITES, 1.0)

    def idle(self, job):
        return self.waiting

    def close(self):
        pass


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "POLL_S", 0.0)
    monkeypatch.setattr(module, "BACKOFF_S", (0.0, 0.0))


def _tells(**fields):
    def step(work):
        status = {"round": 1, "doing": "update", "problem": "", **fields}
        write_json(work / "status.json", {**status, "time": time.time() - HOURS_LATE})

    return step


def _finishes(work):
    _tells(round=2)(work)
    (work / "runs/federated").mkdir(parents=True)
    for name in ("results.json", "runs/federated/metrics.jsonl", "config.json", "sites.json"):
        (work / name).write_text(f'"{name} of the server"')
    (work / "runs/federated/aggregated").mkdir()
    (work / "runs/federated/aggregated/round-1.json").write_text("of the server alone")


def _see(engine, workdir, **how):
    told, shown = [], []
    run = Run(workdir / "job", workdir, SITES, **{"fewest": 2, **how})
    supervise(LeadElsewhere(engine, workdir), run, told.append, show=shown.append)
    return told, shown


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "lead").mkdir()
    (tmp_path / "lead/config.json").write_text('"of the lead"')
    return tmp_path / "lead"


def test_status_and_results_come_and_the_leads_own_files_stay(workdir, tmp_path):
    engine = Far(tmp_path / "server", [[_tells(round=1), _finishes, "FINISHED:COMPLETED"]])
    _, shown = _see(engine, workdir)
    assert 1 in [status.get("round") for status in shown]
    assert engine.forgotten == ["0"]
    assert (workdir / "results.json").is_file()
    assert (workdir / "runs/federated/metrics.jsonl").is_file()
    assert (workdir / "config.json").read_text() == '"of the lead"'
    assert not list(workdir.rglob("aggregated"))
    assert not list(workdir.rglob("*arriving*"))


def test_results_of_a_job_that_ended_unseen_come_without_another_job(workdir, tmp_path):
    engine = Far(tmp_path / "server", [[_finishes, "FINISHED:COMPLETED"]])
    engine.submit(workdir / "job")
    engine.state("0")
    write_json(workdir / "job.json", {"job": "0", "time": 0.0})
    _see(engine, workdir)
    assert engine.submitted == 1
    assert (workdir / "results.json").is_file()


def test_the_problem_of_a_job_that_failed_is_told_whatever_the_servers_clock_says(
    workdir, tmp_path
):
    ends = [_tells(round=0, problem="no column age.", final={"amber": "no column age"})]
    engine = Far(tmp_path / "server", [[*ends, "FINISHED:EXECUTION_EXCEPTION"]])
    with pytest.raises(
        ValueError, match=r"The run ends: Sites would refuse.*amber: no column age\. Ask"
    ):
        _see(engine, workdir)
    assert engine.submitted == 1


def test_sites_that_are_gone_and_the_call_to_stop_arrive_at_the_server(workdir, tmp_path):
    seen = []

    def looks(work):
        _tells(waiting=["birch"], left_out={"cedar": "no answer in time"})(work)
        seen.append((lost_sites(work), (work / "stop").exists()))

    steps = [looks] * 12
    engine = Far(tmp_path / "server", [[*steps, _finishes, "FINISHED:COMPLETED"]])
    engine.waiting = {"birch"}
    _see(engine, workdir)
    assert ({"birch"}, True) in seen


def test_orders_of_an_earlier_job_are_not_given_again(workdir, tmp_path):
    lose_sites(workdir, {"birch"})
    (workdir / "stop").touch()
    seen = []

    def looks(work):
        _tells()(work)
        seen.append((lost_sites(work), (work / "stop").exists()))

    engine = Far(tmp_path / "server", [[looks, looks, _finishes, "FINISHED:COMPLETED"]])
    _see(engine, workdir)
    assert seen == [(set(), False)] * 2


def test_links_of_the_server_are_not_followed(workdir, tmp_path):
    given, secret = tmp_path / "given", tmp_path / "secret"
    given.mkdir()
    secret.write_text("of this machine")
    (given / "report.txt").symlink_to(secret)
    (given / "results.json").write_text("{}")
    take_over(given, workdir)
    assert not (workdir / "report.txt").exists()
    assert (workdir / "results.json").is_file()


def test_the_first_model_comes_with_the_job(tmp_path):
    app, work = tmp_path / "app", tmp_path / "work"
    (app / "initial").mkdir(parents=True)
    (app / "initial/repeat0-split0.safetensors").write_bytes(b"model")
    work.mkdir()
    for _ in range(2):  # also in the next job
        take_start(work, app)
    assert (work / "initial/repeat0-split0.safetensors").read_bytes() == b"model"
    take_start(work, tmp_path / "none")  # a job that starts from its seed brings none


def test_a_job_without_a_status_gives_nothing(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    hand_over(work, tmp_path / "given")
    assert not (tmp_path / "given").exists()
    with Progress(work) as progress:
        progress.stopped_by(ValueError("too few sites."))
    hand_over(work, tmp_path / "given")
    assert read_status(tmp_path / "given")["problem"] == "too few sites."
