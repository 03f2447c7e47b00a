"""Counts of the scans that were found, kept and left out at a site, with reasons."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Report:
    """The scans of one site: `found == kept + sum of left out`, always."""

    site: str
    synthetic: bool = False
    found: int = 0
    kept: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)  # reason -> a sentence a scan
    notes: dict[str, list[str]] = field(default_factory=dict)  # likewise, of scans that were kept

    def leave_out(self, reason: str, sentence: str) -> None:
        """Records one scan that is not used."""
        self.left_out.setdefault(reason, []).append(sentence)

    def note(self, reason: str, sentence: str) -> None:
        """Records something that costs no scan."""
        self.notes.setdefault(reason, []).append(sentence)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        kind = "synthetic scans" if self.synthetic else "scans"
        left_out = self.found - self.kept
        lines = [f"{self.site}: {self.found} {kind} found, {self.kept} kept, {left_out} left out"]
        for title, group in (("left out", self.left_out), ("note", self.notes)):
            for reason, sentences in group.items():
                example = sentences[0]
                lines.append(f"  {title}: {len(sentences)} x {reason}, for instance: {example}")
        return "\n".join(lines)
