"""The page and the table about the quality of prepared scans, for the person who decides."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedbrain.analysis.html_page import Items, Picture, Section, Table, render_page
from fedbrain.data.decisions import FILE, NO_DECISIONS, VERDICTS, Quality, read_decisions
from fedbrain.data.tables import read_table, write_table
from fedbrain.preprocessing.derivative import figure_path, write_file
from fedbrain.preprocessing.quality import BOUNDS, expected, judge
from fedbrain.preprocessing.tree import Outcome

PAGE = "quality.html"
TITLES = {"fail": "Failed", "look": "To look at", "pass": "Passed"}
HELP = (
    f"Write keep or exclude into the column decision of {FILE}, beside this page. Training on this"
    " derivative obeys it; without a decision, scans that failed are left out, and the others are"
    " used. A later run of fedbrain prepare keeps your decisions."
)


def write_quality(output: Path, outcomes: Sequence[Outcome], *, title: str) -> dict[str, int]:
    """Writes `quality.tsv` and `quality.html`; returns verdict -> number of scans.

    Args:
      output: folder of the derivative.
      outcomes: of all sessions.
      title: of the page.

    Raises:
      ValueError: for a table that holds other words than decisions.
    """
    made = [outcome for outcome in outcomes if outcome.record]
    verdicts = {outcome.scan.id: judge(outcome.record["Quality"]) for outcome in made}
    decided = read_decisions(output)
    _write_table(output, made, verdicts, decided)
    page = render_page(title, "", _sections(output, outcomes, verdicts, decided))
    write_file(output / PAGE, page)
    return {name: sum(verdict == name for verdict, _ in verdicts.values()) for name in VERDICTS}


def _write_table(
    output: Path,
    made: Sequence[Outcome],
    verdicts: Mapping[str, tuple[str, list[str]]],
    decided: Mapping[str, Quality],
) -> None:
    """Rows of scans that are not among these stay as they are."""
    header = ["participant_id", "session_id", "verdict", "decision", "reasons", *BOUNDS]
    rows = {}
    for row in read_table(output / FILE) if (output / FILE).is_file() else []:
        session = row.get("session_id", "n/a")
        rows[row["participant_id"], session] = [row.get(name, "n/a") for name in header]
    for outcome in made:
        scan = outcome.scan
        verdict, reasons = verdicts[scan.id]
        decision = decided[scan.id].decision if scan.id in decided else ""
        numbers = [f"{outcome.record['Quality'][name]:g}" for name in BOUNDS]
        words = [verdict, decision or "n/a", "; ".join(reasons) or "n/a"]
        session = scan.session or "n/a"
        rows[scan.subject, session] = [scan.subject, session, *words, *numbers]
    write_table(output / FILE, header, [rows[key] for key in sorted(rows)])


def _sections(
    output: Path,
    outcomes: Sequence[Outcome],
    verdicts: Mapping[str, tuple[str, list[str]]],
    decided: Mapping[str, Quality] = NO_DECISIONS,
) -> list[Section]:
    counts = [
        ["verdict", "scans"],
        *[[TITLES[v], str(sum(x == v for x, _ in verdicts.values()))] for v in TITLES],
    ]
    bounds = [
        ["number", "what it is", "expected"],
        *[[name, row.means, expected(row)] for name, row in BOUNDS.items()],
    ]
    sections = [
        Section(
            "How to decide",
            [HELP, Table("Scans", counts), Table("The rule", bounds, text=True)],
        ),
        Section("Not prepared", [Items([o.reason for o in outcomes if not o.record])]),
    ]
    if all(outcome.record for outcome in outcomes):
        sections.pop()
    for verdict, heading in TITLES.items():
        blocks = []
        for outcome in outcomes:
            scan = outcome.scan
            if not outcome.record or verdicts[scan.id][0] != verdict:
                continue
            reasons = "; ".join(verdicts[scan.id][1])
            decision = decided[scan.id].decision if scan.id in decided else ""
            text = ": ".join(filter(None, [scan.id, reasons])) + (
                f" (decided: {decision})" if decision else ""
            )
            blocks.append(_picture(figure_path(output, scan), text))
        sections.append(Section(heading, blocks))
    return sections


def _picture(path: Path, text: str) -> Picture | str:
    try:
        return Picture(text, path.read_bytes())
    except OSError:
        return f"{text} (no picture: {path.name} is not there)"
