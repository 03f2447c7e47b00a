"""What the page says is what the code sends; no subject or path is in a byte of it, nor in the
server's folder.
"""

import json
import re
import shutil

import pytest

from fedbrain.deploy.protocol.beside import NUMBERS
from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.plausible import TESTED
from fedbrain.deploy.protocol.register import Note, write_join
from fedbrain.deploy.protocol.versions import versions
from fedbrain.deploy.protocol.what_leaves_fields import (
    COLLECTIONS,
    ENVELOPE,
    JOINED,
    NOTE,
    PATTERNS,
    SCALARS,
)
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.exchange import Rules, Side
from fedbrain.deploy.server_side.report import Ended, report
from fedbrain.deploy.server_side.rounds import conduct
from fedbrain.deploy.server_side.status import Progress
from fedbrain.deploy.site_side.audit import describe, end_of
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import read_policy
from tests.experiment_under_test import config
from tests.programs import run_program
from tests.small_site import site_toml
from tools.pages import every_page

LIMIT = 10_000_000
NAMES = ("amber", "birch", "cedar")
OPENED = """[allow]
baselines = ["linear"]
describe = ["classes"]
report_by = ["histogram"]
[columns]
sex = "sex"
"""


def test_the_document_is_made_from_the_code():
    made = run_program("fedbrain.deploy.what_leaves")
    assert made.returncode == 0, made.stderr
    page = next(page for page in every_page() if page.path.name == "what_leaves.md")
    assert page.render("a stale page") == made.stdout


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, hospitals):
    """(all bytes that sites sent, folder of the server, words that must be in neither)."""
    home = tmp_path_factory.mktemp("canary_home_5b1f")
    shutil.copytree(hospitals, home / "trees")
    subjects = []
    for name in NAMES:  # every subject gets a name that nothing else has
        tree = home / "trees" / name
        for k, path in enumerate(sorted(tree.glob("sub-*"))):
            canary = f"canary{name}{k:03d}"
            subjects.append(canary)
            for file in sorted(path.rglob("*_T1w.*")):
                file.rename(file.with_name(file.name.replace(path.name, f"sub-{canary}")))
            table = (tree / "participants.tsv").read_text()
            (tree / "participants.tsv").write_text(
                table.replace(f"{path.name}\t", f"sub-{canary}\t")
            )
            path.rename(tree / f"sub-{canary}")
    fields = config(home / "x", rounds=2, regimes=("federated",))
    fields.driver, fields.residence = "loop()", "streamed()"
    fields.baselines, fields.describe = ("linear('sex')",), ("classes('sex', 0, 1)",)
    fields.report_by = ("histogram('target', 20, 80, 2)",)
    shared = {k: v for k, v in fields.to_dict().items() if k not in ("sites", "cache")}
    job = json.loads(json.dumps({"config": shared, "target": "age", "sites": NAMES}))
    workers, sent = {}, []
    for name in NAMES:
        (home / name).mkdir()
        few = 99 if name == "cedar" else 1
        toml = site_toml(name, home / "trees" / name, tested=few, more=OPENED)
        (home / f"{name}.toml").write_text(toml)
        workers[name] = join(
            read_policy(home / f"{name}.toml"), job, workdir=home / name, limit=LIMIT
        )
        note = Note(workers[name].worker.last_round, versions(), end_of(home / "none.jsonl"))
        sent.append(write_join(workers[name].declared, note))
    server = tmp_path_factory.mktemp("server")

    def transport(asked, deadline_s):
        for name, question in asked.items():
            try:
                answer = workers[name].worker.receive(question)
            except Refused as error:
                sent.append(str(error).encode())
                continue
            sent.append(answer)
            yield name, answer

    sites = {n: w.declared for n, w in workers.items()}
    side = Side(agree(job), transport, sites, Rules(3, 100, LIMIT, 60), Pace(60), Progress(server))
    results = report([Ended(side, conduct(side, folder=server), server)], workdir=server)
    assert set(results["clients"]) == {"amber", "birch"}
    return sent, server, [*subjects, home.name, str(home), "participants.tsv", "_T1w"]


def test_no_byte_names_a_subject_or_a_path(recorded):
    sent, server, words = recorded
    files = {str(p): p.read_bytes() for p in server.rglob("*") if p.is_file()}
    assert len(words) > 30
    for word in words:
        assert not any(word.encode() in data for data in sent), word
        assert not [
            name for name, data in files.items() if word.encode() in data or word in name
        ], word


def test_messages_hold_the_fields_of_the_document_and_no_other(recorded):
    sent, *_ = recorded
    kinds = set()
    for data in sent:
        if data.startswith(b"FBW1"):
            header = json.loads(data[40 : 40 + int.from_bytes(data[4:8], "little")])
            assert set(header) == {*ENVELOPE, "vectors"}
            beside = {s for s in header["scalars"] if any(re.fullmatch(p, s) for p in PATTERNS)}
            assert set(header["scalars"]) - beside <= set(SCALARS)
            assert not beside or header["kind"] in (*NUMBERS, *TESTED)
            assert {name for name, *_ in header["vectors"]} <= set(COLLECTIONS)
            assert len(header["kind"]) <= 9
            kinds.add(describe(data)["kind"])
        elif data.startswith(b"{"):
            assert set(json.loads(data)) == {*JOINED, *NOTE}
    assert kinds == {"validated", "update", "reported", "summed", "fitted", "described"}


def test_a_site_with_few_test_subjects_tells_nothing_of_them(recorded):
    sent, server, _ = recorded
    assert any(b"expected at least 99 test subjects to tell of them" in data for data in sent)
    assert "cedar: no test results" in (server / "report.txt").read_text()
