"""Targets of a network: the column itself, standardised at a site, or relative to a norm."""

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
    """(y - mean) / SD of the site's own training scans.

    The unit becomes the site's SD; mean and SD are not sent.
    """

    def standardise(split: Split) -> Split:
        mean = split.train.target.mean(dtype=np.float64)
        sd = split.train.target.std(dtype=np.float64)
        if not sd > 0:
            raise ValueError(
                f"config.target: expected targets that differ, got {mean:g} for every training scan"
                " of a site."
            )

        def scale(scans: Scans) -> Scans:
            return replace(scans, target=((scans.target - mean) / sd).astype(np.float32))

        return Split(*map(scale, split))

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

        norm = intercept + sum_column sum_k powers[column][k - 1] column^k
                         + sum_column gain [column >= threshold]

    Scans without one of the columns are left out and reported.

    Args:
      site: name of the site.
      sd: residual standard deviation of the norm, in target units, > 0: a negative one would turn
        good performance into impairment.
      intercept: in target units.
      powers: column -> coefficients of its first, second, ... power.
      at_least: column -> (threshold, gain).

    Returns:
      (site, norm).
    """
    if not sd > 0:
        raise ValueError(
            f"Expected sd={sd} > 0: a negative one turns good performance into impairment."
        )
    powers = dict(powers or {})
    at_least = dict(at_least or {})
    needed = [*powers, *at_least]

    def apply(scans: Scans, report: Report) -> Scans:
        absent = [name for name in needed if name not in scans.columns]
        if absent:
            raise ValueError(
                f"config.norms: expected a column {absent[0]!r}, got {sorted(scans.columns)}."
            )
        known = np.ones(len(scans), bool)
        for name in needed:
            known &= np.isfinite(scans.columns[name])
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
