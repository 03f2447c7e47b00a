"""Paired differences of methods over seeds: a method minus a reference under the same attack.

    d_s = score_s(method) - score_s(reference),   mean +- t_{n-1} SD(d) / sqrt(n)
    p:  paired t test of mean(d) = 0, two-sided
    Holm:  p_(k) <- max_{j <= k} min(1, (m - j + 1) p_(j)),   over the m methods compared

References:
  Holm (1979), https://www.jstor.org/stable/4615733
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from fedbrain.analysis.cells import align, number, p_value
from fedbrain.analysis.intervals import FEWEST_SEEDS, Interval, over_seeds, span

# (method, attack) -> (scores, test examples [seeds, clients] both, skipped rounds [seeds])
Cells = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]]
HEADER = ["attack", "method - reference", "difference", "95 %", "p", "p by Holm"]


class Difference(NamedTuple):
    """A method minus a reference, in the unit of the score."""

    attack: str
    method: str
    reference: str
    mean: float  # over seeds, of the mean over all test examples
    interval: Interval
    p: float  # NaN below 3 seeds
    holm: float  # corrected for all methods compared with this reference under this attack
    # client -> (mean, interval); empty where all clients have the same
    clients: dict[str, tuple[float, Interval]]


def differences(
    cells: Cells, names: Sequence[str], against: Sequence[str], *, floor: str
) -> list[Difference]:
    """Every method minus every reference, under every attack.

    Args:
      cells: of all methods and attacks.
      names: of the clients.
      against: names of the reference methods.
      floor: name of a constant's line, which is compared with nothing but may be a reference.
    """
    attacks = dict.fromkeys(attack for _, attack in cells)
    found = []
    for attack in attacks:
        for reference in (r for r in against if (r, attack) in cells):
            methods = [m for m, a in cells if a == attack and m not in (reference, floor)]
            every = [_one(cells, names, attack, method, reference) for method in methods]
            corrected = holm([one.p for one in every])
            found += [one._replace(holm=p) for one, p in zip(every, corrected)]
    return found


def _one(
    cells: Cells, names: Sequence[str], attack: str, method: str, reference: str
) -> Difference:
    (first, n, _), (second, _, _) = cells[method, attack], cells[reference, attack]
    each = first - second
    overall = (each * n).sum(1) / n.sum(1)
    alike = np.ptp(each, axis=1).max() == 0
    clients = {} if alike else {a: (float(d.mean()), over_seeds(d)) for a, d in zip(names, each.T)}
    mean, p = float(overall.mean()), p_of_no_difference(overall)
    return Difference(attack, method, reference, mean, over_seeds(overall), p, math.nan, clients)


def p_of_no_difference(differences: Float[np.ndarray, " seeds"]) -> float:
    """p of a mean of 0, by t; NaN below 3 seeds or where a run diverged.

    >>> p_of_no_difference(np.zeros(5)), round(p_of_no_difference(np.array([1.0, 2.0, 3.0])), 3)
    (1.0, 0.074)
    """
    n = len(differences)
    if n < FEWEST_SEEDS or not np.isfinite(differences).all():
        return math.nan
    error = np.std(differences, ddof=1) / math.sqrt(n)
    if error == 0:
        return 1.0 if differences[0] == 0 else 0.0
    return float(2 * stats.t.sf(abs(differences.mean()) / error, n - 1))


def holm(values: Sequence[float]) -> list[float]:
    """p values of a family, corrected; NaN stays and counts as no comparison.

    >>> holm([0.01, math.nan, 0.04, 0.03])
    [0.03, nan, 0.06, 0.06]
    """
    known = sorted((p, k) for k, p in enumerate(values) if math.isfinite(p))
    corrected, largest = [math.nan] * len(values), 0.0
    for rank, (p, k) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[k] = largest
    return corrected


def from_numbers(told: Mapping[str, Any]) -> Difference:
    """From what `comparison.json` holds of one.

    Args:
      told: its fields.
    """
    clients = {name: (mean, (low, high)) for name, (mean, (low, high)) in told["clients"].items()}
    low, high = told["interval"]
    return Difference(**{**told, "interval": (low, high), "clients": clients})


def rows_of(found: Sequence[Difference]) -> list[list[str]]:
    """The cells of the table; the first row is the header.

    Args:
      found: of a study.
    """
    return [HEADER] + [
        [
            one.attack,
            f"{one.method} - {one.reference}",
            number(one.mean, "+.2f"),
            span(one.interval, "+.2f"),
            p_value(one.p),
            p_value(one.holm),
        ]
        for one in found
    ]


def note(found: Sequence[Difference]) -> str:
    """What the p values are.

    Args:
      found: of a study.
    """
    counts: dict[tuple[str, str], int] = {}
    for one in found:
        key = one.attack, one.reference
        counts[key] = counts.get(key, 0) + math.isfinite(one.p)
    most = max(counts.values(), default=0)
    return (
        "Differences on all test examples, paired by seeds. p: t test, two-sided; by Holm:"
        f" corrected for the {most} methods compared with one reference under one attack, and not"
        " over attacks. Seeds share data: this is about other seeds on these data, not about other"
        " data."
    )


def by_client(found: Sequence[Difference]) -> list[str]:
    """Differences of single clients, a line for each comparison in which they differ.

    Args:
      found: of a study.
    """
    lines = []
    for one in found:
        parts = [
            f"{n} {number(mean, '+.2f')} ({span(ends, '+.2f')})"
            for n, (mean, ends) in one.clients.items()
        ]
        if parts:
            lines.append(f"{one.attack}: {one.method} - {one.reference}: {', '.join(parts)}")
    return lines


def render(found: Sequence[Difference]) -> str:
    """The differences as text; empty where nothing is compared.

    Args:
      found: of a study.
    """
    return "\n".join([*align(rows_of(found)), note(found), *by_client(found)]) if found else ""
