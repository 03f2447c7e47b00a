"""The first sheet of a spreadsheet, .xls or .xlsx, as rows of cells by the name of their column."""

from pathlib import Path
from typing import Any

Row = dict[str, Any]  # column -> text, a number, a date; "" where the cell is empty


def read_rows(path: Path) -> list[Row]:
    """The rows below the header.

    Args:
      path: of the spreadsheet.

    Raises:
      ValueError: naming the file, when it is no spreadsheet, or python-calamine is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError:
        raise ValueError(
            "reading a spreadsheet needs python-calamine: pip install 'fedbrain[prepare]', in a"
            " clone pip install -e '.[prepare]' -c constraints.txt."
        ) from None
    if not path.is_file():
        raise ValueError(f"{path}: expected a spreadsheet, got nothing there.")
    try:
        lines = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    except (CalamineError, OSError, IndexError) as error:
        raise ValueError(f"{path}: expected a spreadsheet, got something else: {error}.") from None
    if not lines:
        raise ValueError(f"{path}: expected a header, got an empty sheet.")
    header = [str(cell).strip() for cell in lines[0]]
    return [dict(zip(header, line)) for line in lines[1:]]
