"""What was found, what was kept, and why the rest was left out. Nothing is dropped in silence."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """The account of one site's data. `found == kept + sum of left out`, always."""

    site: str
    found: int = 0
    kept: int = 0
    synthetic: bool = False  # images of no real person
    left_out: dict[str, list[str]] = field(default_factory=dict)  # reason -> one sentence each
    notes: dict[str, list[str]] = field(default_factory=dict)  # what was kept, but worth knowing

    def leave_out(self, reason: str, sentence: str) -> None:
        """Records one scan that is not used."""
        self.left_out.setdefault(reason, []).append(sentence)

    def note(self, reason: str, sentence: str) -> None:
        """Records something that costs no scan."""
        self.notes.setdefault(reason, []).append(sentence)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "site": self.site, "synthetic": self.synthetic, "found": self.found, "kept": self.kept,
            "left_out": dict(self.left_out), "notes": dict(self.notes),
        }  # fmt: skip

    def __str__(self) -> str:
        kind = "synthetic scans" if self.synthetic else "scans"
        lines = [
            f"{self.site}: {self.found} {kind} found, {self.kept} kept, {self.found - self.kept}"
            " left out"
        ]
        for title, group in (("left out", self.left_out), ("note", self.notes)):
            for reason, sentences in group.items():
                lines.append(
                    f"  {title}: {len(sentences)} x {reason}, for instance: {sentences[0]}"
                )
        return "\n".join(lines)
