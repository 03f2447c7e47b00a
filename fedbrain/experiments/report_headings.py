"""Rows of tables under headings, so that the name of a row is one cell, which stays in view."""

import re
from collections.abc import Callable, Sequence

Rows = list[list[str]]


def under_headings(
    rows: Sequence[Sequence[str]], say: Callable[..., str], columns: int = 1
) -> Rows:
    """Rows whose first cells are the same, under a heading of these.

    Args:
      rows: the first one is the header.
      say: the first cells -> their heading; empty: none.
      columns: how many cells become a heading. Where nothing else names a row, they are its name.

    >>> under_headings([["fruit", "kind", "n"], ["pear", "old", "1"], ["pear", "new", "2"]], str)
    [['kind', 'n'], ['pear', ''], ['old', '1'], ['new', '2']]
    """
    header, *body = rows
    found, before = [list(header[columns:])], ""
    for row in body:
        heading, cells = say(*row[:columns]), list(row[columns:])
        if not cells[0]:
            cells[0], heading = row[columns - 1], before
        if heading and heading != before:
            found.append([heading, *[""] * (len(cells) - 1)])
        before = heading
        found.append(cells)
    return found


def attack_in_words(attacks: Sequence[str]) -> Callable[..., str]:
    """Headings of a study's tables.

    Args:
      attacks: of the study; of one without attacks nothing is said of them.

    >>> attack_in_words(["none", "mimic"])("mimic", "FedAvg"), attack_in_words(["none"])("none")
    ('FedAvg, attack: mimic', '')
    """
    silent = set(attacks) <= {"none", "all"}

    def say(attack: str, method: str = "") -> str:
        told = "" if silent else f"attack: {attack}"
        return ", ".join(text for text in (method, told) if text)

    return say


def of_seeds(rows: Sequence[Sequence[str]]) -> Rows:
    """The table of a grid between hospitals, a heading for each regime and seed.

    Args:
      rows: the first one is the header; others are named `REGIME, seed N, SITE`.

    >>> of_seeds([["", "MAE"], ["federated, seed 0, amber", "7.1"]])
    [['', 'MAE'], ['federated, seed 0', ''], ['amber', '7.1']]
    """
    header, *body = rows
    parts = [re.fullmatch(r"(.*?, seed \d+), (.*)", row[0]) for row in body]
    split = [[*(p.groups() if p else ("", row[0])), *row[1:]] for p, row in zip(parts, body)]
    return under_headings([["", *header], *split], str)
