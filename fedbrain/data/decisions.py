"""Which prepared scans a person, or a rule on their quality, has left out: `quality.tsv` in the
folder of a derivative.

    participant_id  session_id  verdict              decision
    sub-01          n/a         pass, look or fail   n/a, keep or exclude

A decision counts more than the verdict. Without one, scans that fail are left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fedbrain.data.tables import MISSING, read_table

FILE = "quality.tsv"
VERDICTS = ("pass", "look", "fail")
DECISIONS = ("keep", "exclude")


class Quality(NamedTuple):
    """A row."""

    verdict: str
    decision: str  # empty: none yet

    @property
    def excluded(self) -> str:
        """Why the scan is left out; empty: it is used."""
        if self.decision:
            return f"{self.decision}d by a person" if self.decision == "exclude" else ""
        return "failed the rule on quality" if self.verdict == "fail" else ""

    @property
    def undecided(self) -> bool:
        """Whether a person should look."""
        return self.verdict == "look" and not self.decision


NO_DECISIONS: Mapping[str, Quality] = {}


def read_decisions(folder: Path) -> Mapping[str, Quality]:
    """`sub-01` or `sub-01_ses-1` -> what was decided; empty without such a table.

    Args:
      folder: of a derivative.

    Raises:
      ValueError: for a table with other columns or words.
    """
    path = folder / FILE
    if not path.is_file():
        return NO_DECISIONS
    rows = {}
    for number, row in enumerate(read_table(path), start=2):
        verdict, decision = (row.get(name, "").strip().lower() for name in ("verdict", "decision"))
        decision = "" if decision in MISSING else decision
        if "participant_id" not in row or verdict not in VERDICTS:
            raise ValueError(
                f"{path}: row {number}: expected participant_id and a verdict of"
                f" {', '.join(VERDICTS)}, got {verdict or 'none'}."
            )
        if decision not in ("", *DECISIONS):
            raise ValueError(
                f"{path}: row {number}: expected the decision n/a, {' or '.join(DECISIONS)}, got"
                f" {decision!r}."
            )
        session = row.get("session_id", "")
        name = row["participant_id"]
        name = name if session.lower() in MISSING else f"{name}_{session}"
        rows[name] = Quality(verdict, decision)
    return rows
