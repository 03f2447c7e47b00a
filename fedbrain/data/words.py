"""The words of codes in tables: what a table tells of them, and what tables of results say."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedbrain.data.columns import Column
from fedbrain.data.tables import SEX_COLUMNS, parse_number, parse_sex, same_value

SEXES = ("female", "male")  # as 0 and 1


def class_words(column: str, low: float, high: float) -> str:
    """How a class, or neighbouring classes that were merged, is told.

    >>> class_words("sex", 0.0, 0.0), class_words("sex", 0.0, 1.0), class_words("scanner", 3.0, 3.0)
    ('female', 'female or male', 'scanner 3')
    >>> class_words("age", 20.0, 35.5)
    '20 to 35.5'

    Args:
      column: by which people are told apart.
      low: code of the first class, or its lower edge.
      high: code of the last class, or its upper edge.
    """
    if column.lower() in SEX_COLUMNS and {low, high} <= {0, 1}:
        return " or ".join(SEXES[int(low) : int(high) + 1])
    return f"{column} {low:g}" if low == high else f"{low:g} to {high:g}"


def levels_of(root: Path, column: Column) -> dict[str, str]:
    """Code -> its word, as the descriptions beside the tables tell (`Levels` of their JSON files).

    Codes whose descriptions contradict each other, and descriptions that cannot be read, are left
    out.

    Args:
      root: of the tree.
      column: in its tables.

    References:
      BIDS 1.10, tabular files, https://bids-specification.readthedocs.io
    """
    found: dict[str, set[str]] = {}
    for table in column.tables:
        for code, word in _levels(root / f"{table}.json", column.name).items():
            found.setdefault(code.strip(), set()).add(word)
    return {code: words.pop() for code, words in found.items() if len(words) == 1}


def _levels(path: Path, column: str) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        described: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        levels = described[column]["Levels"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    told = {code: x.get("Description") if isinstance(x, dict) else x for code, x in levels}
    return {code: word.strip() for code, word in told.items() if isinstance(word, str)}


def numbers_of_sexes(texts: Iterable[str], values: Iterable[float]) -> Iterator[tuple[str, str]]:
    """(reason, rest of a sentence) for numbers in a column of sexes whose meaning is not told.

    Args:
      texts: cells whose codes no description tells.
      values: as all cells are read.
    """
    write = "write M and F, or what the numbers mean under Levels in the table's JSON file"
    if codes := {v for v in values if math.isfinite(v)} - {0.0, 1.0}:
        told = ", ".join(f"{code:g}" for code in sorted(codes))
        yield (
            "numbers in a column of sexes",
            f"has {told}, which stays so, while M and F are read as 1 and 0: {write}, or sites mean"
            " different things by one number.",
        )
    elif any(_is_number(text) for text in texts):
        yield (
            "0 and 1 in a column of sexes",
            f"has 0 and 1, read as female and male: {write}.",
        )


def _is_number(text: str) -> bool:
    try:
        return parse_number(text) is not None
    except ValueError:
        return False


def in_words(text: str, kind: str, classes: Sequence[str], levels: Mapping[str, str]) -> str:
    """A cell, or the word of its code where that is a sex in a column of sexes, or a class.

    >>> in_words("2", "sex", (), {"1": "male", "2": "female"})
    'female'
    >>> in_words("2", "group", ("patient", "control"), {"2": "Control"})
    'Control'
    >>> in_words("2", "score", (), {"2": "moderate"})
    '2'

    Args:
      text: the cell.
      kind: of the column; `sex` for one of sexes.
      classes: names, where the column is a class.
      levels: code -> word.
    """
    word = levels.get(text.strip())
    if word is None or text.strip() in classes:
        return text
    sex = not classes and kind.lower() in SEX_COLUMNS and parse_sex(word) is not None
    named = any(word.lower() == name.lower() or same_value(word, name) for name in classes)
    return word if sex or named else text
