"""A site that withdraws, or that the lead withdraws, is in no further round of a job that runs."""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

pytest.importorskip("nvflare", reason="needs the extra deploy")

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedbrain.deploy.nvflare.parcels import pieces, whole
from fedbrain.deploy.nvflare.site import Hospital
from fedbrain.deploy.nvflare.transport import (
    MESSAGE,
    OUTLOOK,
    REFUSED,
    WITHDRAWN,
    Transport,
)
from fedbrain.deploy.nvflare.withdrawn_sites import FILE, withdrawn_sites
from fedbrain.deploy.protocol.job import job_hash
from fedbrain.deploy.protocol.outlook import Outlook
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.server_side.status import Progress
from fedbrain.deploy.site_side.approval import APPROVED
from fedbrain.deploy.site_side.join import Joined
from fedbrain.deploy.site_side.review import review
from fedbrain.deploy.site_side.withdrawal import take_part, withdraw
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.workdir import write_json
from tests.deploy.test_approval import TOML, _job

pytestmark = pytest.mark.filterwarnings("ignore")  # the engine's own


def answering():
    """A site's worker that answers everything."""
    worker = Mock(spec=Worker)
    worker.people = SimpleNamespace(epsilons=dict)
    worker.receive.return_value = b"answer"
    return worker


def context_of(kit, name, clients=()):
    """Of the engine's process for a kit."""
    folders = Mock()
    folders.get_root_dir.return_value = str(kit)
    folders.get_site_config_dir.return_value = str(kit / "local")
    engine = Mock()
    engine.get_workspace.return_value = folders
    engine.get_clients.return_value = [SimpleNamespace(name=client) for client in clients]
    context = FLContext()
    context.set_prop(ReservedKey.ENGINE, engine, private=True)
    context.set_prop(ReservedKey.IDENTITY_NAME, name, private=True)
    return context


class Site:
    """A `Hospital` in a job that runs, without the engine's processes."""

    def __init__(self, kit):
        self.kit, self.job, self.worker = kit, _job(), answering()
        (kit / "local").mkdir(parents=True)
        (kit / "local/site.toml").write_text(TOML)
        write_json(kit / APPROVED, {job_hash(self.job): "today"})
        self.hospital = Hospital(self.job)
        self.hospital.joined = Joined(self.worker, Registration(30, 10, 10, True))
        self.context = context_of(kit, "amber")

    def ask(self):
        """(the answer, why there is none, what the site says of the next time)"""
        told = self.answer("message")
        answer = bytes(whole(told[MESSAGE])) if MESSAGE in told else None
        return answer, told.get(REFUSED), told.get(OUTLOOK)

    def answer(self, task):
        """The engine's reply to a task."""
        message = Shareable({MESSAGE: pieces(b"question")})
        return self.hospital.execute(task, message, self.context, Signal())

    def record(self):
        """Directions and texts of the site's own record."""
        lines = (self.kit / "fedbrain/audit.jsonl").read_text().splitlines()
        return [(line["direction"], line["text"][:40]) for line in map(json.loads, lines)]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "kit")


@pytest.mark.parametrize("hash", [None, job_hash(_job())], ids=["everything", "this job"])
def test_a_site_that_withdraws_answers_no_further_question_of_a_job_that_runs(site, hash):
    assert site.ask() == (b"answer", None, None)
    assert "no further question is answered" in withdraw(site.kit, hash)
    answer, why, _ = site.ask()
    assert answer is None
    assert f"this site withdrew from {hash or 'everything'} at 20" in why
    assert site.worker.receive.call_count == 1
    assert "This site refuses it: this site withdrew" in review_of(site)
    take_part(site.kit, hash)
    assert site.ask() == (b"answer", None, None)
    assert site.record()[2:4] == [("in", "question"), ("out", why[:40])]


def review_of(site):
    write_json(site.kit / f"fedbrain/waiting/{job_hash(site.job)}.json", site.job)
    return review(site.kit)


def test_an_answer_that_was_under_way_is_not_sent(site):
    site.worker.receive.side_effect = lambda data: withdraw(site.kit).encode()
    answer, why, _ = site.ask()
    assert site.worker.receive.call_count == 1
    assert answer is None
    assert "withdrew" in why
    assert [direction for direction, _ in site.record()] == ["in", "out"]


@pytest.mark.parametrize(
    ("change", "sentence", "outlook"),
    [
        (lambda kit: (kit / APPROVED).unlink(), "a person at this site has app", Outlook.WAITS),
        (
            lambda kit: (kit / "local/site.toml").write_text(
                TOML.replace("targets.age", "targets.x")
            ),
            "target: expected one that this site consents to, x, got 'age'",
            Outlook.UNKNOWN,
        ),
        (
            lambda kit: (kit / "local/site.toml").write_text("name = 'amber'"),
            "its own log says why",
            Outlook.UNKNOWN,
        ),
    ],
    ids=["approval", "target", "unreadable"],
)
def test_what_site_toml_takes_back_stops_a_job_that_runs(site, change, sentence, outlook):
    change(site.kit)
    answer, why, told = site.ask()
    assert answer is None
    assert site.worker.receive.call_count == 0
    assert sentence in why
    assert told == outlook


def test_only_what_is_known_is_withdrawn_from_and_undone(site):
    with pytest.raises(ValueError, match="--hash: expected that of a job or study that was appr"):
        withdraw(site.kit, "0" * 64)
    with pytest.raises(ValueError, match="withdrew from, nothing, got everything"):
        take_part(site.kit)
    (site.kit / "local/withdrawn.json").write_text("[")
    assert "its own log says why" in site.ask()[1]  # a damaged file opens nothing


def _ask(kit, meanwhile=lambda: None):
    """(sites that were asked, sites that answered, the status); `meanwhile` after the asking."""
    names, asked = ["amber", "birch", "cedar"], []
    context = context_of(kit, "server", clients=names)

    def deliver(task, context, targets, min_responses=0):
        asked.extend(targets)
        meanwhile()
        for name in targets:
            if task.result_received_cb:
                received = ClientTask(Client(name, "token"), task)
                received.result = Shareable({MESSAGE: pieces(name.encode())})
                task.result_received_cb(received, context)
        task.completion_status = "done"

    controller = Mock(spec=Controller)
    controller.broadcast.side_effect = deliver
    progress = Progress(kit)
    transport = Transport(controller, context, kit, progress, Signal())
    answers = dict(transport.ask("message", names, b"question", 60))
    transport.notify("birch", "a reason")
    return asked, sorted(answers), progress.status


def _disable(kit):
    write_json(kit / FILE, {"disabled_clients": ["birch"]})


def test_a_site_that_the_lead_withdrew_gets_nothing_more(tmp_path):
    asked, answers, _ = _ask(tmp_path)
    assert (asked, answers) == (["amber", "birch", "cedar", "birch"], ["amber", "birch", "cedar"])
    _disable(tmp_path)
    asked, answers, status = _ask(tmp_path)
    assert asked == answers == ["amber", "cedar"]  # nor does it get the notice
    assert status["final"] == {"birch": WITHDRAWN}


def test_its_answer_that_was_under_way_is_dropped(tmp_path):
    asked, answers, status = _ask(tmp_path, lambda: _disable(tmp_path))
    assert asked == ["amber", "birch", "cedar"]
    assert answers == ["amber", "cedar"]
    assert status["refused"] == {"birch": WITHDRAWN}
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(ValueError, match="expected names of sites, got a damaged file"):
        withdrawn_sites(tmp_path)
