"""Sentences that come from another machine, or say what came from there: one line of letters that
can be shown, so that nobody writes on another's terminal or page.
"""

LONGEST = 1500  # characters of a sentence; arbitrary


def one_line(text: object) -> str:
    """A text as one line of printable characters, cut where it is too long.

    Args:
      text: from anywhere.

    >>> one_line("refused\\x1b[2J\\nall is well")
    'refused?[2J?all is well'
    >>> len(one_line("x" * 10**6))
    1500
    """
    start = str(text)[: LONGEST + 1]
    shown = "".join(letter if letter.isprintable() else "?" for letter in start)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."
