"""Tables of a site's cohort as numbers with names: sums of powers and coarse counts, as
`fedbrain.data.describe` makes them, over all its people.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fedbrain.data.describe import Sums
from fedbrain.deploy.protocol.plausible import HIGHEST_SUM
from fedbrain.deploy.protocol.wire import Refused

COUNTS = ("scans", "people", "missing", "withheld")
POWERS = ("x", "xx", "xxx")  # sums over people, around the middle of the edges
Edges = Mapping[str, Sequence[float]]  # column -> edges of its histogram


def described_names(describe: Edges) -> list[str]:
    """The names of the numbers that a site tells.

    Args:
      describe: of the job.

    >>> described_names({"sex": (-0.5, 0.5, 1.5)})[7:]
    ['sex: edge 0', 'sex: edge 1', 'sex: edge 2', 'sex: count 0', 'sex: count 1']
    """
    return [name for column, edges in describe.items() for name in _names(column, len(edges))]


def _names(column: str, edges: int) -> list[str]:
    kept, counts = (f"edge {k}" for k in range(edges)), (f"count {k}" for k in range(edges - 1))
    return [f"{column}: {name}" for name in (*COUNTS, *POWERS, *kept, *counts)]


def described_numbers(describe: Edges, told: Mapping[str, Sums]) -> dict[str, float]:
    """The tables of a site as numbers.

    Args:
      describe: of the job.
      told: column -> sums.
    """
    numbers: dict[str, float] = {}
    for column, edges in describe.items():
        sums = told[column]
        kept = [float(edge in sums.edges) for edge in edges]
        of_class = dict(zip(sums.edges[:-1], sums.counts))  # lower edge -> people
        counts = [float(of_class.get(edge, 0)) for edge in edges[:-1]]
        values = [*(float(getattr(sums, name)) for name in COUNTS), *sums.powers, *kept, *counts]
        numbers |= dict(zip(_names(column, len(edges)), values, strict=True))
    return numbers


def read_described(describe: Edges, numbers: Mapping[str, float], scans: int) -> dict[str, Sums]:
    """The inverse of `described_numbers`.

    Args:
      describe: of the job.
      numbers: of a site.
      scans: that the site declared.

    Raises:
      Refused: for counts that are none, do not add up, or are not of the scans declared; for sums
        larger than any.
    """
    read = {column: _read(column, edges, numbers) for column, edges in describe.items()}
    for column, sums in read.items():
        if not sums.withheld and sums.scans + sums.missing != scans:
            raise Refused(
                f"{column}: expected values of the {scans} scans declared, known or missing, got"
                f" {sums.scans} and {sums.missing}"
            )
        if max(map(abs, sums.powers)) > HIGHEST_SUM:
            raise Refused(f"{column}: expected sums up to {HIGHEST_SUM:g}, got larger ones")
    return read


def _read(column: str, edges: Sequence[float], numbers: Mapping[str, float]) -> Sums:
    values = [numbers[name] for name in _names(column, len(edges))]
    whole = values[: len(COUNTS)] + values[len(COUNTS) + len(POWERS) :]
    kept_or_not = whole[len(COUNTS) : len(COUNTS) + len(edges)]
    if not all(v in range(10**6) for v in whole) or not set(kept_or_not) <= {0.0, 1.0}:
        raise Refused(f"{column}: expected counts, got other numbers")
    scans, people, missing, withheld, *flags = map(int, whole)
    counts = flags[len(edges) :]
    kept = [k for k, flag in enumerate(flags[: len(edges)]) if flag]
    ends = kept[:1] + kept[-1:] == [0, len(edges) - 1]
    starts = [k for k, count in enumerate(counts) if count]
    if sum(counts) != people or scans < people or (people and not ends) or set(starts) - set(kept):
        raise Refused(f"{column}: expected counts of classes that add up to all people")
    x, xx, xxx = values[len(COUNTS) : len(COUNTS) + len(POWERS)]
    return Sums(
        scans=scans,
        people=people,
        missing=missing,
        withheld=bool(withheld),
        powers=(x, xx, xxx),
        centre=float(np.float64(edges[0] + edges[-1]) / 2),
        edges=tuple(float(edges[k]) for k in kept),
        counts=tuple(counts[k] for k in kept[:-1]),
        merged=len(edges) - len(kept) if people else 0,
    )
