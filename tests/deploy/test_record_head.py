"""The end of a record is signed by its site: a record that was cut is seen, and nobody else can
make up an end.
"""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

pytest.importorskip("nvflare", reason="needs the extra deploy")

from fedbrain.deploy.nvflare.consortium_file import read_consortium
from fedbrain.deploy.nvflare.identity import identity_of, verifier_of
from fedbrain.deploy.nvflare.kits import provision
from fedbrain.deploy.nvflare.parcels import whole
from fedbrain.deploy.nvflare.transport import JOIN, MESSAGE
from fedbrain.deploy.protocol.record_head import check_heads, require_head, sign_head
from fedbrain.deploy.protocol.register import (
    Note,
    Registration,
    read_joins,
    record_joins,
    write_join,
)
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.audit import Audit, end_of, head_file
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.workdir import write_json
from tests.deploy.test_withdrawal import Site
from tests.test_launch import HOSPITAL

pytestmark = pytest.mark.filterwarnings("ignore")  # the engine's own
DECLARED = Registration(30, 10, 10, True)
SITE = "brussels"


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record_head")
    provision(read_consortium(HOSPITAL / "consortium.yaml"), folder)
    return folder / "kits"


def _verify(kits):
    return verifier_of(kits / "server")


def _joins(kits, head):
    """What the server makes of an answer to joining."""
    answers = [(SITE, write_join(DECLARED, Note(record=head)))]
    return read_joins(
        answers, 100, require_head=lambda name, head: require_head(_verify(kits), name, head)
    )


@pytest.fixture
def record(kits, tmp_path):
    """A record of nine lines, and `joined.jsonl` with its end after four and after eight."""
    audit, identity = Audit(tmp_path / "audit.jsonl"), identity_of(kits / SITE)
    for k in range(9):
        if k in (4, 8):
            joins = _joins(kits, sign_head(identity, SITE, end_of(audit.path)))
            assert SITE in joins.joined
            record_joins(tmp_path, joins)
        audit.record("in", f"sentence {k}".encode())
    return audit.path


def _check(kits, record):
    return check_heads(record, record.parent / "joined.jsonl", SITE, verifier_of(kits / SITE))


def _cut(record, lines):
    """The record without its last lines, and the file beside it as if it had never had them."""
    kept = record.read_bytes().splitlines(keepends=True)[:lines]
    record.write_bytes(b"".join(kept))
    write_json(head_file(record), end_of(record))


def test_every_end_that_a_site_signed_is_in_its_record(kits, record):
    assert _check(kits, record) == "2 ends of the record, signed at joining, are in it."
    _cut(record, 8)  # after the last joining: nobody outside knows of the ninth line
    assert _check(kits, record).startswith("2 ends")


@pytest.mark.parametrize("lines", [0, 3, 7])
def test_a_record_that_was_cut_is_seen_although_the_file_beside_it_was_changed_too(
    kits, record, lines
):
    _cut(record, lines)
    with pytest.raises(
        ValueError, match=f"expected line . as {SITE} signed it at 20.*got {lines} l"
    ):
        _check(kits, record)


def _forge(record, **changes):
    path = record.parent / "joined.jsonl"
    first, *rest = path.read_text().splitlines()
    line = json.loads(first)
    line["record"] |= changes
    path.write_text("\n".join([json.dumps(line), *rest]))


@pytest.mark.parametrize("field", ["lines", "sha256", "signature", "certificate"])
def test_an_end_that_the_site_did_not_sign_is_seen(kits, record, field):
    other = {"lines": 3, "sha256": "0" * 64, "signature": "00" * 256, "certificate": "none"}
    _forge(record, **{field: other[field]})
    with pytest.raises(ValueError, match=f"of 20.*keys: expected what {SITE} signed"):
        _check(kits, record)


@pytest.mark.parametrize("forger", ["server", "prague", "lead@example.org"])
def test_nobody_else_can_sign_in_its_name(kits, record, forger):
    startup = kits / forger / "startup"
    if forger == "server":  # its key, as that of a site
        for suffix in ("crt", "key"):
            (startup / f"client.{suffix}").write_bytes((startup / f"server.{suffix}").read_bytes())
    head = sign_head(identity_of(kits / forger), SITE, {"lines": 4, "sha256": "0" * 64})
    with pytest.raises(Refused, match=f"a certificate of {SITE}"):
        require_head(_verify(kits), SITE, head)
    own = (kits / SITE / "startup/client.crt").read_text()  # with the site's own certificate
    with pytest.raises(Refused, match=f"keys: expected what {SITE} signed"):
        require_head(_verify(kits), SITE, {**head, "certificate": own})
    joins = _joins(kits, head)
    assert not joins.joined
    assert f"a certificate of {SITE}" in joins.wrong[SITE]


def test_an_end_without_a_signature_leaves_its_site_out_and_no_record_is_an_error(kits, record):
    assert "signed end of a site's record" in _joins(kits, {"lines": 1, "sha256": "0"}).wrong[SITE]
    with pytest.raises(ValueError, match="expected lines of oslo, got none"):
        check_heads(record, record.parent / "joined.jsonl", "oslo", _verify(kits))


def test_a_site_signs_its_record_when_it_joins(kits, tmp_path):
    site = Site(tmp_path / "kit")
    (tmp_path / "kit/startup").symlink_to(kits / SITE / "startup")
    worker = Mock(spec=Worker, last_round=-1, rounds={})
    worker.people = SimpleNamespace(epsilons=dict)
    worker.receive.return_value = b"answer"
    site.hospital.joined = site.hospital.joined._replace(worker=worker)
    site.ask()
    joins = read_joins([("amber", bytes(whole(site.answer(JOIN)[MESSAGE])))], 100)
    head = joins.notes["amber"]["record"]
    with pytest.raises(Refused, match="a certificate of amber"):  # the kit is of another site
        require_head(_verify(kits), "amber", head)
    assert head["lines"] == 3  # the question, its refusal or answer, and joining
