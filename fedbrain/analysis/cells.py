"""Cells and lines of tables of text."""

import math


def number(value: float | None, form: str = ".2f") -> str:
    """A number, or n/a where it is not defined.

    >>> number(7.126), number(math.nan)
    ('7.13', 'n/a')
    """
    return format(value, without_minus_zero(form)) if math.isfinite(number_or_nan(value)) else "n/a"


def without_minus_zero(form: str) -> str:
    """A format in which what is rounded to zero has no minus.

    >>> format(-0.001, without_minus_zero("+.2f")), format(-0.001, without_minus_zero(".2f"))
    ('+0.00', '0.00')
    """
    return f"+z{form[1:]}" if form.startswith("+") else f"z{form}"


def number_or_nan(value: float | None) -> float:
    """NaN for None, which stands for it in JSON."""
    return math.nan if value is None else value


def p_value(p: float | None) -> str:
    """Three digits, or <.001; nothing for None.

    >>> p_value(0.0312), p_value(1e-6), p_value(None)
    ('0.031', '<.001', '')
    """
    return "" if p is None else "<.001" if p < 0.001 else number(p, ".3f")


def align(rows: list[list[str]]) -> list[str]:
    """Lines of text: the first column to the left, the others to the right.

    >>> align([["site", "MAE"], ["a", "7.1"]])
    ['site  MAE', 'a     7.1']
    """
    first, *others = [max(map(len, column)) for column in zip(*rows)]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], others))]
        return "  ".join(cells).rstrip()

    return [line(row) for row in rows]
