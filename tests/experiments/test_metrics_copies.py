"""A CSV file and an event file beside `metrics.jsonl`, read by decoders of their own."""

import csv
import struct

import pytest

from fedbrain.experiments.event_file import crc32c
from fedbrain.experiments.metrics_copies import CSV, EVENTS, flat
from fedbrain.experiments.workdir import MetricsLog


def line(round, **more):
    return {"round": round, "seconds": 1.5, "train_loss": {"amber": 10.0 - round}, **more}


def fields(data):
    """(number, value) of a protocol buffer."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        part, at = data[at : at + size], at + size
        form = {1: "<d", 5: "<f"}.get(kind)
        yield key >> 3, struct.unpack(form, part)[0] if form else part


def events(path):
    """[(round, {name: number})]; the checks are verified."""
    data, at, told = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        content = data[at + 12 : at + 12 + length]
        checks = data[at + 8 : at + 12], data[at + 12 + length : at + 16 + length]
        for part, check in zip((data[at : at + 8], content), checks):
            crc = crc32c(part)
            rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
            assert struct.unpack("<I", check)[0] == (rotated + 0xA282EAD8) % 2**32
        at += 16 + length
        event = dict(fields(content))
        if 5 in event:
            pairs = [dict(fields(value)) for _, value in fields(event[5])]
            told.append((event[2], {p[1].decode(): p[2] for p in pairs}))
        else:
            assert event[3] == b"brain.Event:2"
    return told


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_both_hold_the_numbers_of_the_log(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", rounds=0)
    for round in (1, 2, 300):
        log.write(line(round, cosine=None if round == 1 else {"amber": 0.25}, rejected=False))
    rows = table(tmp_path / CSV)
    assert [row["round"] for row in rows] == ["1", "2", "300"]
    assert [row["cosine/amber"] for row in rows] == ["", "0.25", "0.25"]
    assert rows[1]["train_loss/amber"] == "8"
    told = events(tmp_path / EVENTS)
    assert [round for round, _ in told] == [1, 2, 300]
    assert told[1][1] == {"seconds": 1.5, "train_loss/amber": 8.0, "cosine/amber": 0.25,
                          "rejected": 0.0}  # fmt: skip
    assert "cosine/amber" not in told[0][1]


def test_rounds_that_are_taken_back_are_taken_back_there_too(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", rounds=0)
    for round in (1, 2, 3):
        log.write(line(round))
    with (tmp_path / EVENTS).open("ab") as file:
        file.write(b"killed in mid-record")
    log = MetricsLog(tmp_path / "metrics.jsonl", rounds=2)
    assert [row["round"] for row in table(tmp_path / CSV)] == ["1", "2"]
    assert [round for round, _ in events(tmp_path / EVENTS)] == [1, 2]
    log.write(line(3, more=1.0))
    assert [row["more"] for row in table(tmp_path / CSV)] == ["", "", "1"]
    assert [round for round, _ in events(tmp_path / EVENTS)] == [1, 2, 3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "text", [1.0], None])
def test_what_is_no_number_is_left_out(value, tmp_path):
    assert flat({"x": value}) == {}
    log = MetricsLog(tmp_path / "metrics.jsonl", rounds=0)
    log.write(line(1, x=value, large=1e300))
    assert "large" not in events(tmp_path / EVENTS)[0][1]


def test_client_names_with_commas_and_other_letters(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", rounds=0)
    log.write({"round": 1, "train_loss": {'Zürich, "Nord"': 3.0}})
    assert table(tmp_path / CSV)[0]['train_loss/Zürich, "Nord"'] == "3"
    assert events(tmp_path / EVENTS)[0][1] == {'train_loss/Zürich, "Nord"': 3.0}
