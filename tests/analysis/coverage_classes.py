"""How often each printed interval of classes holds the truth, over simulated people and sites.

python -m tests.analysis.coverage_classes    prints its part of the table of docs/statistics.md
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import norm

from fedbrain.analysis.classification import accuracy, macro, pooled_accuracy, pooled_difference
from fedbrain.analysis.predictions import Predictions
from tests.analysis.coverage import coverage

LEAST = 0.93  # exact intervals may cover more than 95 in 100, and these do
SITES = {"a": 0.9, "b": 0.8, "c": 0.7}  # accuracy
Rng = np.random.Generator


def people(rng: Rng, n: int, *, right=0.8, scans=1, share=0.5, site="s", like=None):
    """Predictions for n people, of whom a share has the second class, and of whose scans as many
    are put into their own class. A score of one class has SD 1; scans of a person share 70 % of its
    variance, and a second method all but 36 % of it with the first one, `like`.
    """
    target = np.repeat((np.arange(n) < round(share * n)).astype(int), scans)
    own, again = np.repeat(rng.normal(size=n), scans), rng.normal(size=n * scans)
    noise = own if scans == 1 else np.sqrt(0.7) * own + np.sqrt(0.3) * again
    if like is not None:
        noise = 0.8 * _noise(like, right) + 0.6 * noise
    score = noise + norm.ppf(right) * (2 * target - 1)
    subjects = [f"{site}{k}" for k in range(n) for _ in range(scans)]
    probability = np.stack([-score, score], 1)
    return Predictions(subjects, target.astype(float), probability, probability * 0, ("F", "M"))


def _noise(p: Predictions, right: float):
    return p.prediction[:, 1] - norm.ppf(right) * (2 * p.target - 1)


def share_right(rng: Rng, n: int, right: float, key: str = "accuracy", **more: Any):
    """(interval, truth) of the accuracy, or balanced accuracy, of a site."""
    return accuracy(people(rng, n, right=right, **more))[f"{key}_95"], right


def area(rng: Rng, n: int, value: float, scans: int = 1, share: float = 0.5):
    """The AUC of a score whose two classes have one SD; one value a person."""
    spread = np.sqrt(1 if scans == 1 else 0.7 + 0.3 / scans)
    right = norm.cdf(norm.ppf(value) * spread / np.sqrt(2))
    return accuracy(people(rng, n, right=right, scans=scans, share=share))["auc_95"], value


def area_of_three(rng: Rng, n: int, value: float):
    """Three classes, each with a score of its own."""
    target = np.arange(n) % 3
    score = rng.normal(size=(n, 3)) + np.sqrt(2) * norm.ppf(value) * np.eye(3)[target]
    names = [f"s{k}" for k in range(n)]
    p = Predictions(names, target.astype(float), score, score * 0, ("a", "b", "c"))
    return accuracy(p)["auc_95"], value


def _sites(rng: Rng, sizes: tuple[int, ...]) -> dict[str, Predictions]:
    return {k: people(rng, n, right=SITES[k], site=k) for k, n in zip(SITES, sizes)}


def pooled(rng: Rng, sizes: tuple[int, ...]):
    """Accuracy over all scans of three sites."""
    truth = float(np.average(list(SITES.values()), weights=sizes))
    return pooled_accuracy(list(_sites(rng, sizes).values()))["accuracy_95"], truth


def macro_mean(rng: Rng, sizes: tuple[int, ...]):
    """The mean accuracy of three sites."""
    told = macro({k: accuracy(p) for k, p in _sites(rng, sizes).items()})
    return told["accuracy_95"], float(np.mean(list(SITES.values())))


def paired(rng: Rng, n: int, right: float):
    """Two methods that are equally good and often right together: the difference is 0."""
    first = people(rng, n, right=right)
    second = people(rng, n, right=right, like=first)
    return pooled_difference([first], [second])["accuracy_difference_95"], 0.0


Case = Callable[[Rng], tuple[Any, float]]
CASES: dict[str, Case] = {
    **{
        f"accuracy {right}, {n} people": partial(share_right, n=n, right=right)
        for right in (0.8, 0.98)
        for n in (10, 20, 50, 100)
    },
    **{
        f"accuracy 0.8, 5 scans each, {n} people": partial(share_right, n=n, right=0.8, scans=5)
        for n in (10, 30, 100)
    },
    **{
        f"accuracy pooled, {n} people": partial(pooled, sizes=n) for n in ((10,) * 3, (10, 30, 100))
    },
    **{
        f"accuracy macro, {n} people": partial(macro_mean, sizes=n)
        for n in ((10,) * 3, (10, 30, 100))
    },
    **{
        f"balanced accuracy {right}, 30 % of one class, {n} people": partial(
            share_right, n=n, right=right, key="balanced_accuracy", share=0.3
        )
        for right in (0.8, 0.95)
        for n in (10, 30, 100)
    },
    **{
        f"AUC {value}, {n} people": partial(area, n=n, value=value)
        for value in (0.8, 0.95)
        for n in (10, 20, 50, 100)
    },
    **{
        f"AUC 0.8, 20 % of one class, {n} people": partial(area, n=n, value=0.8, share=0.2)
        for n in (10, 30, 100)
    },
    **{
        f"AUC 0.8, 5 scans each, {n} people": partial(area, n=n, value=0.8, scans=5)
        for n in (10, 30, 100)
    },
    **{
        f"AUC of three classes 0.8, {n} people": partial(area_of_three, n=n, value=0.8)
        for n in (12, 30, 99)
    },
    **{
        f"paired difference, both right in {right}, {n} people": partial(paired, n=n, right=right)
        for right in (0.8, 0.95)
        for n in (10, 20, 50, 100)
    },
}


if __name__ == "__main__":
    print("| interval | covers, % |\n| --- | --- |")
    for case in CASES:
        print(f"| {case} | {100 * coverage(CASES[case]):.1f} |", flush=True)
