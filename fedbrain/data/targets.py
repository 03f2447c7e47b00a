"""What a network learns to predict: the column as it is, standardised at each site, or relative to
a country's norm.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fedbrain.data.dataset import Scans, take
from fedbrain.data.scan_report import Report
from fedbrain.data.splits import Split

Target = Callable[[Split], Split]
Norm = Callable[[Scans, Report], Scans]


def raw() -> Target:
    """The column in its own unit."""
    return lambda split: split


def z_score() -> Target:
    """(y - mean) / SD, both of the site's own training scans: the unit becomes the site's SD, and
    nothing of it is sent.
    """

    def standardise(split: Split) -> Split:
        mean, sd = (
            split.train.target.mean(dtype=np.float64),
            split.train.target.std(dtype=np.float64),
        )
        if not sd > 0:
            raise ValueError(
                f"config.target: expected targets that differ, got {mean:g} for every training scan"
                " of a site."
            )
        return Split(
            *(replace(p, target=((p.target - mean) / sd).astype(np.float32)) for p in split)
        )

    return standardise


TARGETS = {"raw": raw, "z_score": z_score}


def regression_norm(
    site: str,
    sd: float | int,
    intercept: float | int = 0.0,
    powers: Mapping[str, tuple[float | int, ...]] | None = None,
    at_least: Mapping[str, tuple[float | int, float | int]] | None = None,
) -> tuple[str, Norm]:
    """z = (y - norm) / SD, positive for people above the norm of their age and education.

        norm = intercept + sum_column sum_k powers[column][k - 1] column^k + sum_column gain [column
        >= threshold]

    Args:
      site: whose targets.
      sd: residual standard deviation of the norm, in target units, > 0: with a negative one good
        performers look impaired.
      intercept: in target units.
      powers: column -> coefficients of its first, second, ... power.
      at_least: column -> (threshold, gain).

    Scans without one of the columns are left out, with a sentence.
    """
    if not sd > 0:
        raise ValueError(
            f"Expected sd={sd} > 0: a negative one turns good performance into impairment."
        )
    powers, at_least = dict(powers or {}), dict(at_least or {})

    def apply(scans: Scans, report: Report) -> Scans:
        needed = [*powers, *at_least]
        absent = [name for name in needed if name not in scans.columns]
        if absent:
            raise ValueError(
                f"config.norms: expected a column {absent[0]!r}, got {sorted(scans.columns)}."
            )
        known = (
            np.isfinite([scans.columns[name] for name in needed]).all(0)
            if needed
            else np.ones(len(scans), bool)
        )
        for i in np.flatnonzero(~known):
            report.leave_out(
                "no norm",
                f"{scans.ids[i]}: expected {' and '.join(needed)}, got n/a for one of them.",
            )
        report.kept -= int((~known).sum())
        kept = take(scans, np.flatnonzero(known).tolist())
        x = {name: kept.columns[name].astype(np.float64) for name in needed}
        norm = np.full(len(kept), float(intercept))
        for name, coefficients in powers.items():
            norm += sum(c * x[name] ** k for k, c in enumerate(coefficients, start=1))
        for name, (threshold, gain) in at_least.items():
            norm += gain * (x[name] >= threshold)
        return replace(kept, target=((kept.target - norm) / sd).astype(np.float32))

    return site, apply


NORMS = {"regression_norm": regression_norm}
