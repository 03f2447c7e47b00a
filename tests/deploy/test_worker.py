"""What a site keeps for itself: its record of messages, its private states, its count of deaths,
what it declared.
"""

import json
import math
import os
import uuid

import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.deploy.protocol.record_head import require_head
from fedbrain.deploy.protocol.register import (
    MOST_SCANS,
    Joins,
    Note,
    Registration,
    changed,
    read_joins,
    recall,
    register,
    write_join,
)
from fedbrain.deploy.protocol.wire import Envelope, Refused, pack
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.site_side.attempts import Attempts
from fedbrain.deploy.site_side.audit import Audit, check, end_of, head_file
from fedbrain.deploy.site_side.old_jobs import remove_old_jobs
from fedbrain.deploy.site_side.private_state import Memory


def test_a_record_of_messages_shows_when_a_line_was_changed_or_taken_out(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl")
    envelope = Envelope("update", "amber", 3, "n", "c", "s", {"weight": 5.0})
    audit.record("out", pack(envelope, {"delta": np.ones(4, np.float32)}))
    audit.record("in", b"a sentence")
    audit.record("out", b"another")
    assert check(audit.path) == 3
    first, *rest = audit.path.read_bytes().splitlines()
    told = json.loads(first)
    assert (told["kind"], told["round"], told["scalars"], told["numbers"]) == (
        "update",
        3,
        {"weight": 5.0},
        {"delta": 4},
    )
    for spoilt in ([first.replace(b'"round": 3', b'"round": 4'), *rest], rest, [first, rest[1]]):
        audit.path.write_bytes(b"\n".join(spoilt) + b"\n")
        with pytest.raises(ValueError, match="expected one that follows line"):
            check(audit.path)


def test_a_record_whose_last_lines_were_cut_is_seen(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl")
    for k in range(4):
        audit.record("in", f"sentence {k}".encode())
    assert end_of(audit.path)["lines"] == check(audit.path) == 4
    lines = audit.path.read_bytes().splitlines(keepends=True)
    for kept in (3, 1):
        audit.path.write_bytes(b"".join(lines[:kept]))
        with pytest.raises(ValueError, match="expected at least the 4 lines"):
            check(audit.path)
    audit.path.write_bytes(b"".join(lines[:3]))
    head_file(audit.path).unlink()
    with pytest.raises(ValueError, match="where the record of 3 lines ends, got no file"):
        check(audit.path)
    audit.path.write_bytes(b"".join(lines))
    head_file(audit.path).write_text(json.dumps({**end_of(audit.path), "lines": 9}))
    with pytest.raises(ValueError, match="the last ones were cut"):
        check(audit.path)


@pytest.mark.parametrize("kept", [1, 40])
def test_a_line_that_a_loss_of_power_cut_is_told_of_and_spoils_no_record(tmp_path, kept):
    audit = Audit(tmp_path / "audit.jsonl")
    audit.record("in", b"first")
    whole = audit.path.read_bytes()
    audit.path.write_bytes(whole + whole[:kept])
    assert check(audit.path) == 1
    audit.record("out", b"second")
    assert check(audit.path) == end_of(audit.path)["lines"] == 3
    told = [json.loads(line) for line in audit.path.read_bytes().splitlines()]
    assert [line["kind"] for line in told] == ["text", "a line that was cut", "text"]
    assert told[1]["bytes"] == kept


@pytest.mark.parametrize("damaged", ["", "[]", '{"lines": "x", "sha256": ""}', "{"])
def test_a_damaged_end_of_a_record_is_an_error_in_a_sentence(tmp_path, damaged):
    audit = Audit(tmp_path / "audit.jsonl")
    audit.record("in", b"first")
    head_file(audit.path).write_text(damaged)
    with pytest.raises(ValueError, match=r"audit.head: expected where the record ends, got a dam"):
        check(audit.path)


DECLARED = Registration(10, 2, 3, True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train": 10**9}, "train: 1000000000 scans, of 1 to 10000"),
        ({"train": -1}, "train: -1 scans"),
        ({"train": 10.0}, "train: 10.0 scans"),
        ({"valid": True}, "valid: True scans"),
        ({"synthetic": 1}, "another type"),
        ({"round": "x"}, "another type"),
        ({"record": 3}, "another type"),
        ({"rounds": []}, "another type"),
        ({"splits": []}, "another type"),
        ({"round": 10**30}, "another type"),
        ({"versions": {"jax": ["0.10"]}}, "another type"),
        ({"more": 1}, "unexpected keyword argument 'more'"),
        ({"versions": {"x": "y" * 9000}}, "bytes of 8192 at most"),
    ],
)
def test_a_wrong_answer_to_joining_leaves_its_site_out_and_no_other(change, sentence):
    honest = write_join(DECLARED, Note(round=4, versions={"jax": "0.10"}))
    wrong = json.dumps({**json.loads(honest), **change}).encode()
    joins = read_joins([("amber", wrong), ("birch", honest), ("cedar", b"{")], MOST_SCANS)
    assert joins.joined == {"birch": DECLARED}
    assert joins.seen == {"birch": 4}
    assert sentence in joins.wrong["amber"]
    assert "cedar" in joins.wrong


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b'"round"', b'["round"]', b"null", b"3", b"[" * 8000, b'{"train": 1e400}'],
)
def test_what_is_no_answer_to_joining_is_an_error_of_its_site_alone(data):
    joins = read_joins([("amber", data), ("birch", write_join(DECLARED, Note()))], MOST_SCANS)
    assert (set(joins.wrong), set(joins.joined)) == ({"amber"}, {"birch"})


def test_an_end_of_a_record_that_no_number_holds_is_an_error_of_its_site_alone():
    head = {"lines": math.inf, "sha256": "", "signature": "00", "certificate": "x"}
    with pytest.raises(Refused, match="record: expected the signed end"):
        require_head(lambda *signed: None, "amber", head)


def test_a_site_that_declares_something_else_is_asked_nothing_and_named():
    known = {"amber": DECLARED, "birch": DECLARED}
    other = write_join(DECLARED._replace(train=11), Note())
    same = write_join(DECLARED, Note())
    joins = read_joins([("amber", other), ("birch", same), ("cedar", same)], MOST_SCANS)
    assert set(changed(known, joins)) == {"amber", "cedar"}
    assert "expected what it declared at the start" in changed(known, joins)["amber"]
    assert changed({}, joins) == {}


def _state(value):
    return {"own": jnp.full(3, value)}


def test_private_states_go_back_with_the_server_and_are_missed_when_they_are_gone(tmp_path):
    memory = Memory(tmp_path, _state(0.0), keep=2)
    for k in range(1, 5):
        memory.save(k, _state(float(k)))
        memory.put_aside(1 if k < 3 else 3)
    assert [memory.of(k)["own"][0] for k in (4, 3, 2, 4)] == [
        4,
        3,
        2,
        4,
    ]  # looking back costs nothing
    with pytest.raises(Refused, match="private state of round 1, which round 1 needs, is gone"):
        memory.of(1)
    assert memory.of_best(3)["own"][0] == 3
    memory.save(3, _state(9.0))  # the server lost round 3, and trained it anew with others
    assert memory.of(3)["own"][0] == memory.of(4)["own"][0] == 9
    assert memory.of_best(1)["own"][0] == 1
    with pytest.raises(Refused, match="best round 3 is gone"):
        memory.of_best(3)
    memory.put_aside(3)
    assert memory.of_best(3)["own"][0] == 9
    memory.close()


def test_a_site_without_private_leaves_goes_back_as_far_as_the_server_wants(tmp_path):
    memory = Memory(tmp_path, {}, keep=2)
    for k in range(1, 6):
        memory.save(k, {})
    assert memory.of(1) == {}
    memory.close()


def test_a_state_that_rots_is_missed(tmp_path):
    memory = Memory(tmp_path, _state(0.0), keep=2)
    memory.save(1, _state(1.0))
    memory.save(2, _state(2.0))
    memory.close()
    manifest = tmp_path / "state/manifests/2.json"
    manifest.write_text(manifest.read_text().replace('"sha256"', '"sha"'))
    with pytest.raises(Refused, match="private state of round 2, which round 2 needs, is gone"):
        Memory(tmp_path, _state(0.0), keep=2).of(2)


def test_a_site_that_dies_three_times_in_a_round_sits_out_once(tmp_path):
    for _ in range(2):
        for _ in range(3):
            Attempts(tmp_path / "a.json").begin(7)
        with pytest.raises(Refused, match="died 3 times in round 7: it sits out once"):
            Attempts(tmp_path / "a.json").begin(7)
    attempts = Attempts(tmp_path / "a.json")
    for k in range(9):
        attempts.begin(k)
        attempts.over()
    assert not (tmp_path / "a.json").exists()


def test_deadlines_follow_what_answers_took():
    pace = Pace(3600)
    assert pace.deadline_s("update") == 3600
    pace.took("update", 300.0)
    assert pace.deadline_s("update") == 3600  # the first one compiled
    pace.took("update", 100.0)
    assert pace.deadline_s("update") == 1200
    for _ in range(5):
        pace.took("update", 20.0)
    assert pace.deadline_s("update") == 80
    pace.took("validated", 1.0)
    pace.took("validated", 1.0)
    assert pace.deadline_s("validated") == 60
    assert pace.seconds() == {"update": 20.0, "validated": 1.0}


def test_every_site_is_there_at_the_first_start_and_declares_the_same_later(tmp_path):
    amber, birch = Registration(10, 2, 3, True), Registration(20, 4, 5, True)
    with pytest.raises(ValueError, match="Missing: birch: no consent"):
        register(
            tmp_path, {"amber": amber}, expected=["amber", "birch"], refused={"birch": "no consent"}
        )
    both = {"amber": amber, "birch": birch}
    assert register(tmp_path, both, expected=["amber", "birch"], refused={}) == both
    assert (
        register(tmp_path, {"amber": amber}, expected=["amber", "birch"], refused={})
        == both
        == recall(tmp_path)
    )
    with pytest.raises(ValueError, match="amber: expected what it declared at the start"):
        register(tmp_path, {"amber": birch}, expected=["amber", "birch"], refused={})


def test_a_run_may_begin_without_a_site_which_then_stays_out(tmp_path):
    amber, birch = Registration(10, 2, 3, True), Registration(20, 4, 5, True)
    how = {"expected": ["amber", "birch", "cedar"], "refused": {}}
    with pytest.raises(ValueError, match="at least 3 sites at the first start. Missing: cedar"):
        register(tmp_path, {"amber": amber, "birch": birch}, at_start=3, **how)
    both = register(tmp_path, {"amber": amber, "birch": birch}, at_start=2, **how)
    assert set(both) == {"amber", "birch"}
    late = Joins({"cedar": amber}, {}, {}, {})
    assert "left out at the start" in changed(recall(tmp_path), late)["cedar"]


def test_folders_of_old_jobs_are_removed_and_nothing_else(tmp_path):
    names = [str(uuid.UUID(int=k)) for k in range(4)]
    for k, name in enumerate([*names, "fedbrain", "local", "not-a-uuid"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text("{}")
        os.utime(tmp_path / name / "meta.json", (k, k))
    (tmp_path / str(uuid.UUID(int=9))).mkdir()  # nothing of the engine's is in it
    assert remove_old_jobs(tmp_path, keep=2) == names[:2]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[2:], "fedbrain", "local", "not-a-uuid", str(uuid.UUID(int=9))}
