"""What left a site, from its own record beside the folders of its runs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis.html_page import Block, Section, Table
from fedbrain.experiments.stored_json import UNREADABLE

RECORD = "audit.jsonl"  # of the site's kit, beside the folders of runs
WHAT = {  # kind of message -> what it tells
    "update": "change of the weights after training",
    "validated": "a sum of losses over validation scans",
    "reported": "errors on test people",
    "alone": "errors of the model trained alone",
    "fitted": "errors of a linear regression",
    "tried": "errors of another site's model",
    "lent": "the whole model trained alone",
    "summed": "sums of products for a linear regression",
    "described": "counts and sums of the cohort",
    "averaged": "sums of every voxel",
    "squared": "squared residuals of every voxel",
    "masked": "an update under masks",
    "text": "a sentence, such as a refusal",
}
ABOUT = (
    "From this site's own record, of all its runs. `fedbrain site status` tells whether the record"
    " is complete and unchanged; docs/what_leaves.md says what each kind of message holds."
)


def record_section(workdir: Path) -> Section:
    """Messages that this site sent, by kind; empty where there is no record.

    Args:
      workdir: of a run at a site.
    """
    return Section("What left this site", list(_blocks(list(_lines(workdir.parent / RECORD)))))


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except UNREADABLE:
            continue
        if isinstance(value, dict) and {"direction", "kind", "bytes"} <= set(value):
            yield value


def _blocks(lines: list[Mapping[str, Any]]) -> Iterator[Block]:
    if not lines:
        return
    sent = [line for line in lines if line["direction"] == "out"]
    kinds = sorted({str(line["kind"]) for line in sent})
    rows = [["kind", "messages", "numbers in each", "kB in all", "what it tells"]]
    for kind in kinds:
        of_kind = [line for line in sent if line["kind"] == kind]
        sizes = {_numbers(line) for line in of_kind}
        span = f"{min(sizes):,}" if len(sizes) == 1 else f"{min(sizes):,} to {max(sizes):,}"
        told = [f"{len(of_kind):,}", span, _kb(of_kind), WHAT.get(kind, "that it is done")]
        rows.append([kind, *told])
    rows.append(["all that was sent", f"{len(sent):,}", "", _kb(sent), ""])
    received = [line for line in lines if line["direction"] == "in"]
    rows.append(["all that came", f"{len(received):,}", "", _kb(received), ""])
    first, last = (str(line.get("time"))[:16].replace("T", " ") for line in (lines[0], lines[-1]))
    yield ABOUT
    yield Table(f"Messages from {first} to {last}, UTC", rows)
    spent = next((line for line in reversed(sent) if "epsilon_of_all" in line), None)
    if spent is not None:
        yield (
            "Differential privacy that all these answers come to: epsilon"
            f" {spent['epsilon_of_all']:.3g} at delta {spent.get('delta_dp', 0):g}."
        )


def _numbers(line: Mapping[str, Any]) -> int:
    return len(line.get("scalars") or {}) + sum((line.get("numbers") or {}).values())


def _kb(lines: list[Mapping[str, Any]]) -> str:
    return f"{sum(int(line['bytes']) for line in lines) / 1000:,.1f}"
