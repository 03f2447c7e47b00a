"""Accuracy of predicted classes with intervals over people, and paired differences of two methods.

A scan is put into its likeliest class. Recall is the share of a class's scans that are put into it;
balanced accuracy is its mean over the classes that occur. The AUC compares people, one value each:
for more than two classes it is the mean over classes of one against the rest.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from fedbrain.analysis.intervals import UNDEFINED, Group, Interval, by_person
from fedbrain.analysis.predictions import (
    Predictions,
    concatenate,
    likeliest,
    require_same_scans,
    take,
)
from fedbrain.analysis.ranks import area, area_interval
from fedbrain.analysis.shares import share_over_people, weighted

Measured = tuple[float, Interval]  # a number and its 95 % interval
MEANS = ("accuracy", "balanced_accuracy", "auc")  # with an interval each


def one_value_a_person(
    p: Predictions,
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, "m k"]]:
    """(class, mean probabilities) of each person; of each of their classes, where it changed."""
    _, person = np.unique(np.asarray(p.subjects), return_inverse=True)
    count = len(p.classes)
    pairs, pair = np.unique(person * count + p.target.astype(int), return_inverse=True)
    sums = np.zeros((len(pairs), count))
    np.add.at(sums, pair, p.prediction)
    return pairs % count, sums / np.bincount(pair)[:, None]


def _hits(p: Predictions) -> Bool[np.ndarray, " n"]:
    return likeliest(p.prediction) == p.target


def _groups(
    sites: Sequence[Predictions], hit: Sequence[np.ndarray], chosen: Sequence[np.ndarray]
) -> list[Group]:
    """Hits among the chosen scans, of each person of each site that has such scans."""
    return [by_person(h[c], take(p, c).subjects) for p, h, c in zip(sites, hit, chosen) if c.any()]


def _cell(sites: Sequence[Predictions], true: int, said: int) -> Measured:
    """The share of a class's scans that are put into another class, or into their own."""
    hit = [likeliest(p.prediction) == said for p in sites]
    return share_over_people(_groups(sites, hit, [p.target == true for p in sites]))


def _balanced(recalls: Sequence[Measured]) -> Measured:
    """The mean recall of the classes that occur, which are of different scans."""
    occur = [(value, ends) for value, ends in recalls if math.isfinite(value)]
    if len(occur) < 2:
        return math.nan, UNDEFINED
    values, intervals = zip(*occur)
    weights = [1 / len(occur)] * len(occur)
    return float(np.mean(values)), weighted(values, intervals, weights)


def _area(p: Predictions) -> Measured:
    """The mean area over classes; its interval is as wide as if they all rose and fell together."""
    target, probability = one_value_a_person(p)
    areas, intervals = [], []
    for k in range(len(p.classes)):
        inside = target == k
        value = area(probability[:, k], inside)
        if math.isfinite(value):
            areas.append(value)
            intervals.append(area_interval(value, int(inside.sum()), int((~inside).sum())))
    if not areas:
        return math.nan, UNDEFINED
    weights = [1 / len(areas)] * len(areas)
    return float(np.mean(areas)), weighted(areas, intervals, weights, correlation=1.0)


def pooled_accuracy(sites: Sequence[Predictions]) -> dict[str, Any]:
    """Accuracy over all scans of several sites.

    Returns:
      n, subjects, accuracy, balanced accuracy and AUC, each with its 95 % interval over people;
      `floor_accuracy`, of the largest class in training; `confusion`, scans by true class and class
      they are put into, `confusion_95`, intervals of the shares of its rows. NaN where not defined.
    """
    p = concatenate(sites)
    numbers = range(len(p.classes))
    everything = [np.ones(len(s.target), bool) for s in sites]
    cells = [[_cell(sites, true, said) for said in numbers] for true in numbers]
    measured = {
        "accuracy": share_over_people(_groups(sites, [_hits(s) for s in sites], everything)),
        "balanced_accuracy": _balanced([cells[k][k] for k in numbers]),
        "auc": _area(p),
    }
    values = {name: value for name, (value, _) in measured.items()}
    intervals = {f"{name}_95": list(ends) for name, (_, ends) in measured.items()}
    confusion = np.zeros((len(p.classes), len(p.classes)), int)
    np.add.at(confusion, (p.target.astype(int), likeliest(p.prediction)), 1)
    return {
        "n": len(p.target),
        "subjects": len(set(p.subjects)),
        **values,
        **intervals,
        "floor_accuracy": float((likeliest(p.floor) == p.target).mean()),
        "confusion": confusion.tolist(),
        "confusion_95": [[list(ends) for _, ends in row] for row in cells],
    }


def accuracy(p: Predictions) -> dict[str, Any]:
    """`pooled_accuracy` at one site."""
    return pooled_accuracy([p])


def weighted_accuracy(sites: Sequence[Predictions], weights: Sequence[float]) -> dict[str, Any]:
    """The weighted mean of the sites' accuracies.

    Args:
      sites: predictions of each.
      weights: of each; they add up to 1.
    """
    told = [share_over_people([by_person(_hits(p), p.subjects)]) for p in sites]
    values, intervals = zip(*told)
    floors = [(likeliest(p.floor) == p.target).mean() for p in sites]
    return {
        "accuracy": float(np.dot(weights, values)),
        "accuracy_95": list(weighted(values, intervals, list(weights))),
        "floor_accuracy": float(np.dot(weights, floors)),
    }


def macro(per_site: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Unweighted mean over the sites where a number is defined: every hospital counts the same.

    Args:
      per_site: site -> `accuracy`; numbers and intervals are all that is needed of a site.
    """
    means: dict[str, Any] = {}
    for name in MEANS:
        told = [(s[name], s[f"{name}_95"]) for s in per_site.values() if math.isfinite(s[name])]
        values, intervals = zip(*told) if told else ([math.nan], [UNDEFINED])
        means[name] = float(np.mean(values))
        means[f"{name}_95"] = list(weighted(values, intervals, [1 / len(values)] * len(values)))
    return means | {
        "floor_accuracy": float(np.mean([s["floor_accuracy"] for s in per_site.values()]))
    }


def share_right(p: Predictions) -> float:
    """Accuracy, without an interval."""
    return float(_hits(p).mean())


def pooled_difference(
    first: Sequence[Predictions], second: Sequence[Predictions]
) -> dict[str, Any]:
    """Paired difference of accuracies, first - second, on the same scans of several sites.

    Returns:
      Its value and 95 % interval over people: that of two shares, correlated as the people's are.

    Raises:
      ValueError: when the two do not predict the same scans in the same order.
    """
    for a, b in zip(first, second, strict=True):
        require_same_scans(a, b)
    groups = [[by_person(_hits(p), p.subjects) for p in sites] for sites in (first, second)]
    (one, of_one), (other, of_other) = (share_over_people(g) for g in groups)
    people = [np.concatenate([g.sums - g.scans * s for g in method])
              for method, s in zip(groups, (one, other))]  # fmt: skip
    sizes = [float(np.linalg.norm(x)) for x in people]
    correlation = float(people[0] @ people[1] / (sizes[0] * sizes[1])) if all(sizes) else 0.0
    ends = weighted([one, other], [of_one, of_other], [1.0, -1.0], correlation)
    return {"accuracy_difference": one - other, "accuracy_difference_95": list(ends)}


def regime_results(sites: Mapping[str, Mapping[str, Predictions]]) -> dict[str, Any]:
    """All numbers of one regime.

    Args:
      sites: site -> {"valid": predictions, "test": predictions}.
    """
    tests = {name: parts["test"] for name, parts in sites.items()}
    per_site = {name: accuracy(p) for name, p in tests.items()}
    pooled = pooled_accuracy(list(tests.values()))
    return {"clients": per_site, "pooled": pooled, "macro": macro(per_site)}
