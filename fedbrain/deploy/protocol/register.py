"""The sites of a run, and what each declared when it first joined: `sites.json`, which does not
change until the end.
"""

import datetime
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.deploy.protocol.outlook import Awaited
from fedbrain.deploy.protocol.wire import HIGHEST_ROUND
from fedbrain.experiments.workdir import write_json

LARGEST = 8192  # bytes of an answer, with a certificate
MOST_SCANS = 10_000  # of a part of a site, unless the lead expects more


class Registration(NamedTuple):
    """What a site declares when it joins. No answer of it may claim more scans."""

    train: int  # training scans
    valid: int  # validation scans
    test: int  # test scans
    synthetic: bool  # whether the images are of no real person
    # in a job with several splits: split -> scans to train, to validate, to test
    splits: Mapping[str, Sequence[int]] = {}

    def of(self, split: str) -> "Registration":
        """What it declares of one split.

        Args:
          split: its name.
        """
        if not self.splits:
            return self
        train, valid, test = self.splits[split]
        return Registration(train, valid, test, self.synthetic)


def recall(workdir: Path) -> dict[str, Registration]:
    """The sites of this run; empty before the first of them joined.

    Args:
      workdir: of the run.
    """
    path = workdir / "sites.json"
    sites = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: Registration(**{"splits": {}, **site}) for name, site in sites.items()}


class Joins(NamedTuple):
    """What came back when sites were asked to join."""

    joined: dict[str, Registration]  # site -> what it declares
    wrong: dict[str, str]  # site -> why its answer is none
    seen: dict[str, int]  # site -> round of the last model that it has seen; -1: none
    notes: dict[str, dict[str, Any]]  # site -> versions of its programs, the end of its record


class Note(NamedTuple):
    """What a site tells beside its numbers of scans."""

    round: int = -1  # of the last model that it has seen
    versions: Mapping[str, str] = {}  # program -> version
    record: Mapping[str, Any] = {}  # the end of the site's own record, signed: see `record_head`
    rounds: Mapping[str, int] = {}  # of the last model that it has seen, of each of several splits


def write_join(declared: Registration, note: Note) -> bytes:
    """What a site answers when it joins.

    Args:
      declared: numbers of scans.
      note: the rest.
    """
    return json.dumps({**declared._asdict(), **note._asdict()}).encode()


def read_joins(
    answers: Iterable[tuple[str, bytes | bytearray | memoryview]],
    most: int,
    splits: Collection[str] = (),
    require_head: Callable[[str, Mapping[str, Any]], None] = lambda site, head: None,
) -> Joins:
    """Reads what sites declare; a wrong answer leaves its site out, and no other.

    Args:
      answers: (site as its certificate names it, bytes).
      most: scans of a part that a site may declare.
      splits: names of the job's splits, where it has several.
      require_head: raises Refused where the end of a record is not signed by its site.
    """
    joins = Joins({}, {}, {}, {})
    for name, data in answers:
        try:
            declared, note = _read_join(bytes(data), most, set(splits))
            require_head(name, note.record)
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            joins.wrong[name] = f"expected what a site declares when it joins, got: {error}"[:300]
            continue
        joins.joined[name] = declared
        joins.seen[name] = note.round
        joins.notes[name] = {"versions": dict(note.versions), "record": dict(note.record)}
        joins.notes[name] |= {"rounds": dict(note.rounds)} if splits else {}
    return joins


def _read_join(data: bytes, most: int, splits: set[str]) -> tuple[Registration, Note]:
    if len(data) > LARGEST:
        raise ValueError(f"{len(data)} bytes of {LARGEST} at most")
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise ValueError(f"{type(fields).__name__}, no table of fields")
    note = Note(**{k: fields.pop(k) for k in Note._fields if k in fields})
    declared = Registration(**fields)
    tables = (declared.splits, note.versions, note.record, note.rounds)
    if not all(isinstance(table, Mapping) for table in tables):
        raise ValueError("another type of a field")
    if set(declared.splits) != splits or not set(note.rounds) <= splits:
        raise ValueError(f"the splits {sorted(declared.splits)}, of {sorted(splits)}")
    for counts in [declared, *map(declared.of, splits)]:
        for part, least in (("train", 1), ("valid", 1), ("test", 0)):
            count = getattr(counts, part)
            if type(count) is not int or not least <= count <= most:
                raise ValueError(f"{part}: {count!r} scans, of {least} to {most}")
    if type(declared.synthetic) is not bool:
        raise ValueError("another type of a field")
    rounds = (note.round, *note.rounds.values())
    if not all(type(r) is int and -1 <= r < HIGHEST_ROUND for r in rounds):
        raise ValueError("another type of a round")
    if not all(type(version) is str for version in note.versions.values()):
        raise ValueError("another type of a version")
    return declared, note


def seen_of(joins: Joins, split: str) -> dict[str, int]:
    """Site -> round of the last model of a split that it has seen; -1: none.

    Args:
      joins: of this job.
      split: its name.
    """
    several = {name: note["rounds"] for name, note in joins.notes.items() if "rounds" in note}
    return {
        name: several[name].get(split, -1) if name in several else seen
        for name, seen in joins.seen.items()
    }


def changed(known: Mapping[str, Registration], joins: Joins) -> dict[str, str]:
    """Sites that are asked nothing in this job -> why: their answer is wrong, is not the one of the
    start, or they were not there then.

    Args:
      known: sites of the run; empty at the first start.
      joins: of this job.
    """
    reasons = {name: why for name, why in joins.wrong.items() if name in known}
    for name, site in joins.joined.items():
        if known and name not in known:
            reasons[name] = "it was left out at the start of this experiment"
        elif known and site != known[name]:
            reasons[name] = f"expected what it declared at the start, {known[name]}, got {site}"
    return reasons


def record_joins(workdir: Path, joins: Joins) -> None:
    """Appends to `joined.jsonl` what sites told beside their scans: with the end of a site's record
    outside the site, cutting its last lines shows.

    Args:
      workdir: of the run.
      joins: of this job.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with (workdir / "joined.jsonl").open("a", encoding="utf-8") as file:
        for name, note in sorted(joins.notes.items()):
            file.write(json.dumps({"time": now, "site": name, **note}) + "\n")


def register(
    workdir: Path,
    joined: Mapping[str, Registration],
    *,
    expected: Iterable[str],
    refused: Mapping[str, str],
    at_start: int = 0,
) -> dict[str, Registration]:
    """The sites of the run, present or not.

    Args:
      workdir: of the run.
      joined: sites that are here now.
      expected: names of the consortium.
      refused: site -> why it does not join.
      at_start: sites with which the run begins; those that are missing then stay out of it, since
        all weights are shares of a known whole. 0: all.

    Raises:
      Awaited: when too few sites are there at the first start.
      ValueError: when one declares other counts than before.
    """
    known = recall(workdir)
    if not known:
        missing = [
            f"{name}: {refused.get(name, 'not connected')}"
            for name in expected
            if name not in joined
        ]
        if missing and not 0 < at_start <= len(joined):
            wanted = f"at least {at_start} sites" if at_start else "every site of the consortium"
            raise Awaited(f"Expected {wanted} at the first start. Missing: {'; '.join(missing)}")
        known = dict(sorted(joined.items()))
        write_json(workdir / "sites.json", {name: site._asdict() for name, site in known.items()})
    for name, site in joined.items():
        if site != known[name]:
            raise ValueError(
                f"{name}: expected what it declared at the start, {known[name]}, got {site}."
            )
    return known
