"""Tab-separated tables as BIDS writes them and as they are met in the wild."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

from fedbrain.data.other_files import link_to_nothing, other_file
from fedbrain.data.whole_file import write_whole

MISSING = {"", "n/a", "na", "nan", "none", "null"}
SEX_COLUMNS = {"sex", "gender"}  # where M and F are sexes; elsewhere they are unreadable

Row = dict[str, str]

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?\+?", re.ASCII | re.IGNORECASE)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_KEYS = ("participant_id", "session_id", "filename")  # first columns of BIDS tables
# A cell, and what ends it. In double quotes it may hold tabs or line ends, not both, since a quote
# that is left open would then take the cells of other rows.
_CELL = re.compile(r'(?: *("(?:[^"\r\n]|"")*"|"(?:[^"\t]|"")*") *|([^\t\r\n]*))(\t|\r\n|\r|\n|\Z)')


def read_table(path: Path) -> list[Row]:
    """Rows of a TSV file as strings: ids keep their leading zeros and all their digits.

    A byte order mark, CRLF, trailing tabs, blank lines, short rows and cells in double quotes, with
    tabs or line ends in them, are accepted. Only line feeds and carriage returns end a row.

    Raises:
      ValueError: naming the file, when it cannot be read, is not text, has no header, is separated
        by commas, repeats a column or has a row that is too long.
    """
    lines = _lines(path)
    header = read_header(path, lines)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if any(line[len(header) :]):
            raise ValueError(
                f"{path}: row {number}: expected {len(header)} columns, got {len(line)}. Tabs in a"
                " cell?"
            )
        rows.append(dict(zip(header, line + [""] * (len(header) - len(line)))))
    return rows


def read_header(path: Path, lines: list[list[str]] | None = None) -> list[str]:
    """The columns of a table; raises as `read_table`."""
    lines = _lines(path) if lines is None else lines
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
    if (
        len(header) == 1
        and re.search(rf"\b({'|'.join(_KEYS)})\b", header[0])
        and (header[0] not in _KEYS)
    ):
        raise ValueError(
            f"{path}: expected tabs between columns, got {header[0]!r}. Save the table with tabs."
        )
    return header


def _lines(path: Path) -> list[list[str]]:
    """The cells of all lines that are not blank."""
    if path.is_fifo() and not path.is_relative_to("/dev"):  # where a shell has pipes of its own
        raise ValueError(f"{path}: expected a table, got a pipe, which would be waited for.")
    try:
        content = path.read_bytes()
        if meaning := other_file(content[:540]):
            raise ValueError(f"{path}: expected a table, got something else: {meaning}.")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#x} at"
            f" {error.start}. Save the table as UTF-8."
        ) from None
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            raise ValueError(link_to_nothing(path)) from None
        raise ValueError(f"{path}: the table cannot be read: {error.strerror}.") from None
    if "\0" in text:
        raise ValueError(
            f"{path}: expected UTF-8 text, got zero bytes (UTF-16?). Save the table as UTF-8."
        )
    lines: list[list[str]] = [[]]
    for quoted, plain, end in _CELL.findall(text):
        lines[-1].append(_unquote((quoted or plain).strip()))
        if end != "\t":
            lines.append([])
    return [line for line in lines if any(line)]


def _unquote(cell: str) -> str:
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"').strip() if quoted else cell


def is_missing(text: str) -> bool:
    """Whether a cell holds no value: empty, n/a, NaN, null, ..."""
    return text.strip().lower() in MISSING


def parse_number(text: str) -> float | None:
    """A number as tables hold it; None where missing.

    >>> parse_number("89+"), parse_number("26,9"), parse_number("n/a")
    (89.0, 26.9, None)

    Raises:
      ValueError: when the cell is neither a number nor a missing value.
    """
    cell = text.strip()
    if is_missing(cell) or _INFINITE.fullmatch(cell):
        return None
    if not _NUMBER.fullmatch(cell):
        raise ValueError(f"expected a number or n/a, got {text!r}")
    value = float(cell.removesuffix("+").replace(",", "."))
    return value if math.isfinite(value) else None


def parse_sex(text: str) -> float | None:
    """1 for male, 0 for female, None for anything else.

    >>> parse_sex("M"), parse_sex("female"), parse_sex("n/a")
    (1.0, 0.0, None)
    """
    return {"m": 1.0, "male": 1.0, "f": 0.0, "female": 0.0}.get(text.strip().lower())


def parse_value(text: str, column: str) -> float | None:
    """A cell as a number; M and F become 1 and 0 in a column of sexes.

    >>> parse_value("F", "sex"), parse_value("52", "sdmt")
    (0.0, 52.0)

    Raises:
      ValueError: when the cell is neither a number nor a missing value.
    """
    sex = parse_sex(text) if column.lower() in SEX_COLUMNS else None
    return parse_number(text) if sex is None else sex


def same_value(one: str, other: str) -> bool:
    """Whether two cells say the same: `20` and `20.0`, `M` and `male`.

    >>> same_value("20", "20.0"), same_value("M", "male"), same_value("20", "21")
    (True, True, False)
    """
    if one == other:
        return True
    try:
        return parse_number(one) == parse_number(other)
    except ValueError:
        sex = parse_sex(one)
        return sex is not None and sex == parse_sex(other)


def write_table(path: Path, columns: list[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a TSV file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    write_whole(path, "\n".join(lines) + "\n")
