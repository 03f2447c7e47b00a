"""Counts of the scans that were found, kept and left out at a site, with reasons."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

WITHOUT_SKULL = "without skull"  # a note that is counted, not listed
Size = tuple[float, float, float]  # of a voxel, in mm, the shortest edge first


@dataclass
class Report:
    """The scans of one site: `found == kept + sum of left out`, always."""

    site: str
    synthetic: bool = False
    found: int = 0
    kept: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)  # reason -> a sentence a scan
    notes: dict[str, list[str]] = field(default_factory=dict)  # likewise, of scans that were kept
    voxel_sizes_mm: dict[Size, int] = field(default_factory=dict)  # -> scans that were kept
    looked_at: int = 0  # scans that were kept and whose voxels were read
    without_skull: int = 0  # of these

    def leave_out(self, reason: str, sentence: str) -> None:
        """Records one scan that is not used."""
        self.left_out.setdefault(reason, []).append(sentence)

    def note(self, reason: str, sentence: str) -> None:
        """Records something that costs no scan."""
        self.notes.setdefault(reason, []).append(sentence)

    def look(self, notes: Mapping[str, str]) -> None:
        """Records what was noted of the voxels of one scan: reason -> sentence."""
        self.looked_at += 1
        self.without_skull += WITHOUT_SKULL in notes
        for reason, sentence in notes.items():
            if reason != WITHOUT_SKULL:
                self.note(reason, sentence)

    def measure(self, sizes: Iterable[Size]) -> None:
        """Records the voxel sizes of scans."""
        for size in sizes:
            self.voxel_sizes_mm[size] = self.voxel_sizes_mm.get(size, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        sizes = {size_text(size): n for size, n in self.voxel_sizes_mm.items()}
        return {**asdict(self), "voxel_sizes_mm": sizes}

    def __str__(self) -> str:
        return self.text()

    def text(self, examples: int = 1) -> str:
        """Counts and reasons, with the first few sentences of each."""
        kind = "synthetic scans" if self.synthetic else "scans"
        left_out = self.found - self.kept
        lines = [f"{self.site}: {self.found} {kind} found, {self.kept} kept, {left_out} left out"]
        if self.voxel_sizes_mm:
            lines.append(f"  voxels: {self._sizes()}; {self._skulls()}")
        for title, group in (("left out", self.left_out), ("note", self.notes)):
            for reason, sentences in group.items():
                first, *more = sentences[:examples]
                lines.append(f"  {title}: {len(sentences)} x {reason}, for instance: {first}")
                lines += [f"    {sentence}" for sentence in more]
        return "\n".join(lines)

    def _sizes(self) -> str:
        first, *others = sorted(self.voxel_sizes_mm.items(), key=lambda row: (-row[1], row[0]))
        more = sum(n for _, n in others)
        rest = f", {len(others)} other sizes in {more} scans" if others else ""
        return f"{size_text(first[0])} mm in {first[1]} scans{rest}"

    def _skulls(self) -> str:
        if not self.looked_at:
            return "none was looked at"
        return f"{self.without_skull} of {self.looked_at} that were looked at are without skull"


def size_text(size: Size) -> str:
    """A voxel size as text.

    >>> size_text((0.94, 0.94, 1.2))
    '0.94 x 0.94 x 1.2'
    """
    return " x ".join(f"{edge:g}" for edge in size)
