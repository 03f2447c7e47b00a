"""What a report says of the scans that were found, without the names of people."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis.html_page import Block, Table
from fedbrain.experiments.public_text import hide
from fedbrain.experiments.report_sections import read_object

HEADER = ["", "found", "kept", "left out", "voxels, mm", "without skull"]


def read_reports(workdir: Path) -> Iterator[dict[str, Any]]:
    """The data reports in a work directory; none of sites elsewhere.

    Args:
      workdir: of the experiment.
    """
    for path in sorted(workdir.glob("clients/*/data_report.json")):
        yield read_object(path)


def data_report_blocks(workdir: Path) -> Iterator[Block]:
    """Counts of every site, and what was noted of scans that were kept.

    Args:
      workdir: of the experiment.
    """
    reports = list(read_reports(workdir))
    if not reports:
        return
    yield Table("Scans of the sites", [HEADER, *map(_counts, reports)])
    notes = [
        [str(report.get("site")), hide(reason), str(len(sentences))]
        for report in reports
        for reason, sentences in (report.get("notes") or {}).items()
    ]
    if notes:
        yield Table("What was noted of the data", [["", "note", "times"], *notes], text=True)


def _counts(report: Mapping[str, Any]) -> list[str]:
    left_out = sum(map(len, (report.get("left_out") or {}).values()))
    sizes = sorted((report.get("voxel_sizes_mm") or {}).items(), key=lambda row: -row[1])
    shown = [f"{size}: {count}" for size, count in sizes[:3]]
    rest = [f"{len(sizes) - 3} other sizes"] if len(sizes) > 3 else []
    looked_at = report.get("looked_at", 0)
    skulls = f"{report.get('without_skull', 0)} of {looked_at}" if looked_at else "n/a"
    counts = [str(report.get(name, "n/a")) for name in ("found", "kept")]
    return [
        str(report.get("site")), *counts, str(left_out), "; ".join([*shown, *rest]) or "n/a", skulls
    ]  # fmt: skip
