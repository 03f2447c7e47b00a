"""How often each printed interval holds the truth, over simulated people, sites and seeds.

python -m tests.analysis.coverage        prints the table of docs/statistics.md (half an hour)
python -m tests.analysis.coverage MAE    only the cases whose name begins with MAE
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fedbrain.analysis.age_gap import age_gap
from fedbrain.analysis.intervals import over_seeds
from fedbrain.analysis.metrics import regression_sums
from fedbrain.analysis.regression import macro
from fedbrain.analysis.statistics import (
    Predictions,
    accuracy,
    correlation,
    person_means,
    pooled_accuracy,
    pooled_difference,
)

DRAWS = 2000
LEAST, MOST = 0.93, 0.97
# what these reach instead: docs/statistics.md names them
OUTSIDE = {
    "MAE, heavy tails, 10 people": (0.92, MOST),
    "age gap: corrected mae, 20 to fit, 20 people": (LEAST, 0.98),
    "age gap: corrected mae, 50 to fit, 100 people": (LEAST, 0.98),
}
HALF_NORMAL = float(np.sqrt(2 / np.pi))  # E|N(0, 1)|
SITES = {"a": 4.0, "b": 6.0, "c": 9.0}  # SD of errors, years
Rng = np.random.Generator


def people(rng: Rng, n: int, sd=5.0, *, scans=1, site="s", noise="normal", slope=1.0):
    """Predictions for n people; scans of a person share 70 % of the variance of errors."""
    age = rng.uniform(20, 80, n)
    draw = {"normal": rng.normal, "Laplace": partial(rng.laplace, scale=np.sqrt(0.5))}[noise]
    own = np.repeat(draw(size=n), scans)
    again = rng.normal(size=n * scans)
    error = sd * (own if scans == 1 else np.sqrt(0.7) * own + np.sqrt(0.3) * again)
    subjects = [f"{site}{k}" for k in range(n) for _ in range(scans)]
    target = np.repeat(age, scans)
    prediction = 50 + slope * (target - 50) + error
    floor = np.full(n * scans, 50, np.float32)
    return Predictions(subjects, target.astype(np.float32), prediction.astype(np.float32), floor)


def sites_of(rng: Rng, sizes: tuple[int, ...]) -> list[Predictions]:
    """Three sites whose errors differ in size."""
    return [people(rng, n, sd, site=name) for n, (name, sd) in zip(sizes, SITES.items())]


def mae(rng: Rng, n: int, **more: Any):
    """(interval, truth) of a site's MAE."""
    truth = 5 * (np.sqrt(0.5) if more.get("noise") == "Laplace" else HALF_NORMAL)
    return accuracy(people(rng, n, **more))["mae_95"], truth


def pooled(rng: Rng, sizes: tuple[int, ...]):
    """Over all scans of three sites."""
    truth = HALF_NORMAL * np.average(list(SITES.values()), weights=sizes)
    return pooled_accuracy(sites_of(rng, sizes))["mae_95"], truth


def macro_mean(rng: Rng, sizes: tuple[int, ...]):
    """The mean of three sites."""
    parts = dict(zip(SITES, sites_of(rng, sizes)))
    truth = HALF_NORMAL * np.mean(list(SITES.values()))
    return macro({name: accuracy(p) for name, p in parts.items()})["mae_95"], truth


def paired(rng: Rng, n: int):
    """Two methods with correlated errors of one size: the difference is 0."""
    first = people(rng, n)
    error = first.prediction - first.target
    other = 0.8 * error + 0.6 * rng.normal(0, 5, n)
    second = first._replace(prediction=(first.target + other).astype(np.float32))
    return pooled_difference([first], [second])["mae_difference_95"], 0.0


def pearson(rng: Rng, n: int, **more: Any):
    """Ages are normal here, as Fisher's interval assumes: SD 10 beside errors of SD 5."""
    p = people(rng, n, **more)
    scans = len(p.subjects) // n
    age = np.repeat(rng.normal(50, 10, n), scans).astype(np.float32)
    p = p._replace(target=age, prediction=(age + p.prediction - p.target).astype(np.float32))
    error = 25 * (1 if scans == 1 else 0.7 + 0.3 / scans)
    return correlation(p)["r_95"], float(10 / np.sqrt(100 + error))


def seeds(rng: Rng, n: int):
    """A score with normal deviations over seeds."""
    return over_seeds(rng.normal(7, 1, n)), 7.0


def corrected(rng: Rng, n: int, valid: int, key: str):
    """After Cole's correction of predictions shrunk to 60 %, fitted on `valid` people."""
    line = regression_sums(*person_means(people(rng, valid, slope=0.6)))
    truth = {"corrected_mae": 5 / 0.6 * HALF_NORMAL, "corrected_slope": 0.0, "slope": -0.4}[key]
    return age_gap(people(rng, n, slope=0.6), line)[f"{key}_95"], truth


CASES: dict[str, Callable[[Rng], tuple[Any, float]]] = {
    **{f"MAE, {n} people": partial(mae, n=n) for n in (8, 10, 20, 50, 100)},
    **{f"MAE, 5 scans each, {n} people": partial(mae, n=n, scans=5) for n in (10, 30, 100)},
    **{f"MAE, heavy tails, {n} people": partial(mae, n=n, noise="Laplace") for n in (10, 30, 100)},
    **{f"MAE pooled, {n} people": partial(pooled, sizes=n) for n in ((10,) * 3, (10, 30, 100))},
    **{f"MAE macro, {n} people": partial(macro_mean, sizes=n) for n in ((10,) * 3, (10, 30, 100))},
    **{f"paired difference, {n} people": partial(paired, n=n) for n in (8, 10, 20, 50, 100)},
    **{f"r, {n} people": partial(pearson, n=n) for n in (10, 30, 100)},
    **{f"r, 5 scans each, {n} people": partial(pearson, n=n, scans=5) for n in (10, 30, 100)},
    **{f"mean over {n} seeds": partial(seeds, n=n) for n in (3, 5, 10)},
    **{
        f"age gap: {key.replace('_', ' ')}, {valid} to fit, {n} people": partial(
            corrected, n=n, valid=valid, key=key
        )
        for key in ("slope", "corrected_slope", "corrected_mae")
        for valid, n in ((20, 10), (20, 20), (50, 100))
    },
}


def coverage(case, draws: int = DRAWS) -> float:
    """The share of a case's intervals, (low, high) and truth from a generator, that hold it."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(draws):
        (low, high), truth = case(rng)
        hits += low <= truth <= high
    return hits / draws


if __name__ == "__main__":
    start = sys.argv[1] if len(sys.argv) > 1 else ""
    print("| interval | covers, % |\n| --- | --- |")
    for case in CASES:
        if case.startswith(start):
            print(f"| {case} | {100 * coverage(CASES[case]):.1f} |", flush=True)
