"""Counts of few people do not leave a site: bins are merged until every class holds enough of them.

Merged classes add up to everybody, so that nothing can be had by subtraction, and what is computed
from them (tests, distances) is computed from true counts. The alternative, sending small counts as
0, gives false alarms in most tests of equal distributions.
"""

import numpy as np
from jaxtyping import Int

FEWEST = 5  # people in a class: a common rule of statistical offices


def merged_edges(counts: Int[np.ndarray, " bins"], fewest: int = FEWEST) -> list[int]:
    """The edges that remain, of those numbered 0 to bins.

    Bins of nobody keep their edges where both neighbours hold enough people or there is none; next
    to a bin of fewer they are merged with it, so that nobody learns where it ends. Everything
    between is halved where that is most even, as long as both halves hold enough people.

    Args:
      counts: people in each bin; `fewest` at least altogether.
      fewest: people in a class.

    >>> merged_edges(np.array([0, 9, 3, 4, 0, 2, 8, 0]))  # classes 0, 12, 6, 8, 0
    [0, 1, 3, 6, 7, 8]
    """
    small = (counts > 0) & (counts < fewest)
    edges, start = {0, len(counts)}, 0
    for low, high in _empty_runs(counts):
        if not small[max(low - 1, 0)] and not small[min(high, len(counts) - 1)]:
            edges |= set(range(low, high + 1)) | set(_halved(counts, start, low, fewest))
            start = high
    return sorted(edges | set(_halved(counts, start, len(counts), fewest)))


def _empty_runs(counts: np.ndarray) -> list[tuple[int, int]]:
    """[low, high) of every run of zeros."""
    padded = np.concatenate([[1], counts, [1]])
    changes = np.flatnonzero(np.diff((padded == 0).astype(int)))
    return [(int(a), int(b)) for a, b in changes.reshape(-1, 2)]


def _halved(counts: np.ndarray, low: int, high: int, fewest: int) -> list[int]:
    """Edges inside [low, high)."""
    if high - low < 2:
        return []
    below = np.cumsum(counts[low : high - 1])
    smaller_half = np.minimum(below, counts[low:high].sum() - below)
    best = int(np.argmax(smaller_half))
    if smaller_half[best] < fewest:
        return []
    edge = low + best + 1
    below, above = ((low, edge), (edge, high))
    return [*_halved(counts, *below, fewest), edge, *_halved(counts, *above, fewest)]
