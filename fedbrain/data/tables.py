"""Tab-separated tables as BIDS writes them and as they are met in the wild."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path

MISSING = {"", "n/a", "na", "nan", "none", "null"}

Row = dict[str, str]


def read_table(path: Path) -> list[Row]:
    """Rows of a TSV file as strings: ids keep their leading zeros and all their digits.

    A byte order mark, CRLF, trailing tabs, blank lines and short rows are accepted.

    Raises:
      ValueError: naming the file, when it has no header, repeats a column, is not text or a row is
        too long.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#x} at"
            f" {error.start}."
        ) from None
    lines = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    lines = [
        [cell.strip() for cell in line] for line in lines if any(cell.strip() for cell in line)
    ]
    if not lines:
        raise ValueError(f"{path}: expected a header line, got an empty file.")
    header = lines[0]
    while header and not header[-1]:
        header = header[:-1]
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise ValueError(
            f"{path}: expected every column once, got {sorted(repeated)} more than once."
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if any(line[len(header) :]):
            raise ValueError(
                f"{path}: row {number}: expected {len(header)} columns, got {len(line)}. Tabs in a"
                " cell?"
            )
        rows.append(dict(zip(header, line + [""] * (len(header) - len(line)))))
    return rows


def parse_number(text: str) -> float | None:
    """A number as tables hold it; None where missing.

    >>> parse_number("89+"), parse_number("26,9"), parse_number("n/a")
    (89.0, 26.9, None)

    Raises:
      ValueError: when the cell is neither a number nor a missing value.
    """
    cell = text.strip()
    if cell.lower() in MISSING:
        return None
    try:
        value = float(cell.removesuffix("+").replace(",", "."))
    except ValueError:
        raise ValueError(f"expected a number or n/a, got {text!r}") from None
    return value if math.isfinite(value) else None


def parse_sex(text: str) -> float | None:
    """1 for male, 0 for female, None for anything else.

    >>> parse_sex("M"), parse_sex("female"), parse_sex("n/a")
    (1.0, 0.0, None)
    """
    return {"m": 1.0, "male": 1.0, "f": 0.0, "female": 0.0}.get(text.strip().lower())


def write_table(path: Path, columns: list[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a TSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
