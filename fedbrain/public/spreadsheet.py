"""The first sheet of a spreadsheet, .xls or .xlsx, or a .csv file, as rows of cells by the name of
their column.
"""

import csv
import io
from pathlib import Path
from typing import Any

from fedbrain.data.other_files import other_file

Row = dict[str, Any]  # column -> text, a number, a date; "" where the cell is empty
TEXTS = (".csv", ".tsv", ".txt")
SHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # beginnings of .xlsx and .xls
SEPARATORS = "\t;,"  # the first that the header has


def read_rows(path: Path) -> list[Row]:
    """The rows below the header.

    Args:
      path: of the spreadsheet.

    Raises:
      ValueError: naming the file, when it is no spreadsheet, or python-calamine is not installed.
    """
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing there"
        raise ValueError(f"{path}: expected a spreadsheet, got {got}.")
    with path.open("rb") as file:
        head = file.read(540)
    is_sheet = head.startswith(SHEETS)
    if not is_sheet and (meaning := other_file(head)):
        raise ValueError(f"{path}: expected a spreadsheet, got something else: {meaning}.")
    is_text = path.suffix.lower() in TEXTS and not is_sheet
    lines = _lines_of_text(path) if is_text else _lines_of_sheet(path)
    if not lines:
        raise ValueError(f"{path}: expected a header, got an empty sheet.")
    header = [str(cell).strip() for cell in lines[0]]
    return [{**dict.fromkeys(header, ""), **dict(zip(header, line))} for line in lines[1:]]


def _lines_of_text(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        separator = next((mark for mark in SEPARATORS if mark in first), ",")
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return [line for line in lines if any(line)]
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}: expected UTF-8 text, got another coding. Save it as UTF-8, or as .xlsx."
        ) from None
    except (csv.Error, OSError) as error:
        raise ValueError(f"{path}: the table cannot be read: {error}.") from None


def _lines_of_sheet(path: Path) -> list[list[Any]]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError:
        raise ValueError(
            "reading a spreadsheet needs python-calamine: pip install 'fedbrain[prepare]', in a"
            " clone pip install -e '.[prepare]' -c constraints.txt; or save the table as .csv."
        ) from None
    try:
        return CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    except (CalamineError, OSError, IndexError) as error:
        raise ValueError(
            f"{path}: expected a spreadsheet (.xls, .xlsx) or a .csv file, got something else:"
            f" {error}."
        ) from None
