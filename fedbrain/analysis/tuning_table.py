"""What tuning tried and chose: a table, sensitivity curves, and the settings in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from fedbrain.analysis.cells import number
from fedbrain.analysis.figures import colour, save, titled
from fedbrain.analysis.intervals import over_seeds
from fedbrain.analysis.study_table import score_label


class Tuned(NamedTuple):
    """The trials of one method under one attack."""

    method: str
    attack: str
    settings: list[dict[str, Any]]  # tried: field, with dots -> value
    validation: Float[np.ndarray, "trials seeds"]  # score on validation examples
    chosen: Int[np.ndarray, " seeds"]  # number of the trial that each seed chose


def in_words(settings: Mapping[str, Any]) -> str:
    """Settings as text.

    >>> in_words({"client.optimizer": "sgd(0.1)", "server.links": ()})
    'client.optimizer=sgd(0.1) server.links=()'
    """
    return " ".join(f"{field}={value}" for field, value in settings.items())


def chosen_in_words(tuned: Tuned) -> str:
    """The settings that seeds chose, the commonest first, with the number of seeds."""
    counts = Counter(tuned.chosen.tolist()).most_common()
    return ", ".join(f"{n} x {in_words(tuned.settings[k])}" for k, n in counts)


def from_numbers(told: Mapping[str, Any]) -> Tuned:
    """The inverse of `numbers`."""
    trials = told["trials"]
    scores = np.asarray([one["validation"] for one in trials], np.float64)
    settings = [one["settings"] for one in trials]
    return Tuned(told["method"], told["attack"], settings, scores, np.asarray(told["chosen"]))


def numbers(tuned: Tuned) -> dict[str, Any]:
    """What `comparison.json` holds of them."""
    trials = [
        {"settings": settings, "validation": scores.tolist()}
        for settings, scores in zip(tuned.settings, tuned.validation)
    ]
    head = {"method": tuned.method, "attack": tuned.attack}
    return {**head, "trials": trials, "chosen": tuned.chosen.tolist()}


def rows_of(every: Sequence[Tuned], floors: np.ndarray, unit: str) -> list[list[str]]:
    """The sensitivity table: a row for every setting tried; the first is the header.

    Args:
      every: of all methods and attacks.
      floors: score of a constant on validation examples, [seeds].
      unit: years, ..., or accuracy.
    """
    label = f"{score_label(unit)} on validation examples"
    rows = [["attack", "method", "setting", label, "95 % from", "to", "seeds that chose it"]]
    rows.append(["all", "floor: a constant", "", *_mean_and_interval(floors), ""])
    for one in every:
        for k, (settings, scores) in enumerate(zip(one.settings, one.validation)):
            head = [one.attack, one.method, in_words(settings)]
            count = str(int((one.chosen == k).sum()))
            rows.append([*head, *_mean_and_interval(scores), count])
    return rows


def _mean_and_interval(scores: np.ndarray) -> list[str]:
    return [number(float(x)) for x in (scores.mean(), *over_seeds(scores))]


def profile(tuned: Tuned, field: str, better: int) -> tuple[list[str], list[float]]:
    """(values of a field in the order tried, the best mean validation score with each).

    Args:
      tuned: of one method and attack.
      field: with dots.
      better: 1 when large scores are good, else -1.
    """
    means = tuned.validation.mean(1)
    best: dict[str, float] = {}
    for settings, mean in zip(tuned.settings, means.tolist()):
        if field in settings:
            value = str(settings[field])
            best[value] = better * np.fmax(better * best.get(value, np.nan), better * mean)
    return list(best), list(best.values())


def places_of(every: Sequence[Tuned], field: str) -> dict[str, int]:
    """Where each value stands on the axis: in the order of the method that tried most of them.

    Args:
      every: of all methods and attacks.
      field: with dots.
    """
    tried = [profile(one, field, 1)[0] for one in every]
    ordered = dict.fromkeys(value for values in sorted(tried, key=len)[::-1] for value in values)
    return {value: place for place, value in enumerate(ordered)}


def draw(path: Path, every: Sequence[Tuned], *, unit: str, synthetic: bool) -> None:
    """Sensitivity curves: a row of panels for each field that all methods are tuned in, a panel for
    each attack; at every value the best mean over seeds among the trials that have it.

    Args:
      path: of the figure.
      every: of all methods and attacks.
      unit: years, ..., or accuracy.
      synthetic: whether the data are synthetic.
    """
    attacks = list(dict.fromkeys(one.attack for one in every))
    fields = [set(one.settings[0]) for one in every]
    common = sorted(set.intersection(*fields)) or sorted(set.union(*fields))
    size = (4.2 * len(attacks) + 2, 3.4 * len(common) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(common), len(attacks), sharey=True, squeeze=False)
    for (row, column), axis in np.ndenumerate(panels):
        shown = [one for one in every if one.attack == attacks[column]]
        places = places_of(every, common[row])
        for k, one in enumerate(shown):
            values, scores = profile(one, common[row], 1 if unit == "accuracy" else -1)
            style = ("-", "--", ":")[k // 8 % 3]
            at = [places[value] for value in values]
            axis.plot(at, scores, style, marker="o", color=colour(k), label=one.method)
        axis.set_xticks(list(places.values()), list(places))
        axis.set(title=attacks[column], xlabel=common[row])
    for axis in panels[:, 0]:
        axis.set_ylabel(score_label(unit))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(titled("best score on validation examples with each value", synthetic))
    save(figure, path)
