"""What a sweep found: each repeat of the splits takes the setting of every method that did best on
its validation people, and only those settings' test scores are told.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis import sweep_table, tuning_table
from fedbrain.analysis.cells import number
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.measures import measures_of
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.stored_predictions import read_repeats, read_validation
from fedbrain.analysis.tuning_table import Tuned
from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.finished import load
from fedbrain.experiments.workdir import write_json

ALL = "validation people"  # what stands for the attack of a study
OWN = "a client's own"
# regime -> whose people a floor is of, where they are not a client's own
WHOSE = {"centralised": "all clients'", "leave_one_site_out": "the other clients'"}


class Tried(NamedTuple):
    """One setting of a method: an experiment of a sweep."""

    method: str
    settings: dict[str, Any]  # tuned fields, with dots -> value
    folder: Path  # its work directory


class Results(NamedTuple):
    """Tables of a sweep."""

    unit: str  # of the target
    classes: list[str]  # names, where the target is a class
    synthetic: bool
    repeats: int  # of the splits
    lines: list[sweep_table.Line]
    differences: list[sweep_table.Difference]
    tuning: list[Tuned]  # empty: nothing was tuned
    floors: list[sweep_table.Line] = []  # noqa: RUF012  (never written to): of no image at all
    # method -> score of its floor on the validation people of every repeat, where it was tuned
    valid_floors: Mapping[str, list[float]] = {}


def scores_on_validation(folders: Sequence[Path]) -> Float[np.ndarray, "trials repeats"]:
    """The score of every setting on the validation people of every repeat.

    Args:
      folders: work directories of the settings.
    """
    rows = []
    for folder in folders:
        parts = read_validation(folder)
        rows.append([measures_of(p).score(p) for _, p in sorted(parts.items())])
    return np.asarray(rows, np.float64)


def floors_on_validation(folder: Path) -> list[float]:
    """The score of the floor on the validation people of every repeat.

    Args:
      folder: work directory of a setting.
    """
    parts = sorted(read_validation(folder).items())
    return [measures_of(p).score(p._replace(prediction=p.floor)) for _, p in parts]


def floors_of(
    tests: Mapping[str, list[Mapping[str, Predictions]]], regimes: Mapping[str, str]
) -> list[sweep_table.Line]:
    """What no image at all would score: a line for each kind of floor, with its interval.

    Args:
      tests: method -> test predictions of every repeat, site by site.
      regimes: method -> its regime.
    """
    found: dict[str, sweep_table.Line] = {}
    for method, repeats in tests.items():
        constant = "largest class" if next(iter(repeats[0].values())).classes else "median"
        name = f"floor: the {constant} of {WHOSE.get(regimes[method], OWN)} people"
        if name not in found:
            told = [{k: p._replace(prediction=p.floor) for k, p in r.items()} for r in repeats]
            found[name] = sweep_table.line_of(name, joined(told), told, "")
    return list(found.values())


def joined(repeats: Sequence[Mapping[str, Predictions]]) -> dict[str, Predictions]:
    """Predictions of all repeats, site by site.

    Args:
      repeats: of each, site by site.
    """
    return {site: concatenate([r[site] for r in repeats]) for site in repeats[0]}


def chosen_of(scores: Float[np.ndarray, "trials repeats"], sign: int) -> np.ndarray:
    """The number of the best setting of every repeat; the first of equal ones.

    Args:
      scores: on validation people; NaN where training diverged.
      sign: 1 when large scores are good, else -1.

    >>> chosen_of(np.array([[7.0, np.nan], [6.0, 9.0], [6.0, 8.0]]), -1).tolist()
    [1, 2]
    """
    return np.argmax(sign * np.nan_to_num(scores, nan=-sign * np.inf), axis=0)


def tested(folders: Sequence[Path], chosen: Sequence[int]) -> list[Mapping[str, Predictions]]:
    """Test predictions of every repeat, site by site, by the setting that it chose.

    Args:
      folders: work directories of the settings.
      chosen: number of the setting of every repeat.
    """
    repeats = [read_repeats(folder) for folder in folders]
    numbers = sorted(repeats[0])
    return [repeats[k][number] for number, k in zip(numbers, chosen, strict=True)]


def results_of(tried: Sequence[Tried], against: Sequence[str]) -> Results:
    """The tables, from the folders of a sweep.

    Args:
      tried: every setting of every method, finished.
      against: methods from which every other one is subtracted.
    """
    stored = [load(one.folder).metrics for one in tried]
    sign = columns_of(stored[0]).sign
    tests: dict[str, list[Mapping[str, Predictions]]] = {}
    tuning: list[Tuned] = []
    valid_floors: dict[str, list[float]] = {}
    regimes = {one.method: next(iter(told["regimes"])) for one, told in zip(tried, stored)}
    for method in dict.fromkeys(one.method for one in tried):
        own = [one for one in tried if one.method == method]
        folders = [one.folder for one in own]
        if len(own) > 1:
            scores = scores_on_validation(folders)
            settings = [one.settings for one in own]
            tuning.append(Tuned(method, ALL, settings, scores, chosen_of(scores, sign)))
            valid_floors[method] = floors_on_validation(folders[0])
            tests[method] = tested(folders, tuning[-1].chosen.tolist())
        else:
            tests[method] = tested(folders, [0] * len(read_repeats(folders[0])))
    words = {one.method: tuning_table.chosen_in_words(one) for one in tuning}
    together = {method: joined(repeats) for method, repeats in tests.items()}
    lines = [
        sweep_table.line_of(method, together[method], tests[method], words.get(method, ""))
        for method in tests
    ]
    return Results(
        stored[0]["unit"],
        list(stored[0].get("classes") or []),
        any(one["synthetic"] for one in stored),
        len(next(iter(tests.values()))),
        sorted(lines, key=lambda line: -sign * line.score),
        sweep_table.differences(together, against),
        tuning,
        floors_of(tests, regimes),
        valid_floors,
    )


def tuning_rows(
    tuning: Sequence[Tuned], label: str, floors: Mapping[str, Sequence[float]]
) -> list[list[str]]:
    """Every setting tried, below its floor: a header, then method, setting, mean and range over
    repeats, and by how many it was chosen.

    Args:
      tuning: of every method.
      label: of the score.
      floors: method -> score of its floor, of every repeat.
    """
    rows = [["method", "setting", f"{label}, validation people", "from", "to", "chosen by"]]
    for one in tuning:
        if floor := floors.get(one.method):
            numbers = [f"{x:.2f}" for x in (np.mean(floor), min(floor), max(floor))]
            rows.append([one.method, "floor: no image", *numbers, ""])
        for k, (settings, scores) in enumerate(zip(one.settings, one.validation)):
            numbers = [number(float(x)) for x in (scores.mean(), scores.min(), scores.max())]
            count = str(int((one.chosen == k).sum()))
            rows.append([one.method, tuning_table.in_words(settings), *numbers, count])
    return rows


def label_of(results: Results) -> str:
    """Of the score.

    Args:
      results: of the sweep.
    """
    columns = columns_of({"classes": results.classes})
    return f"{columns.title}{columns.unit({'unit': results.unit})}".replace("MAE ", "MAE, ")


def write(results: Results, workdir: Path) -> None:
    """Files of the tables and figures.

    Args:
      results: of the sweep.
      workdir: of the sweep.
    """
    numbers: dict[str, Any] = {
        **{k: getattr(results, k) for k in ("unit", "classes", "synthetic", "repeats")},
        "lines": [line._asdict() for line in results.lines],
        "differences": [one._asdict() for one in results.differences],
        "tuning": [tuning_table.numbers(one) for one in results.tuning],
        "floors": [line._asdict() for line in results.floors],
        "valid_floors": dict(results.valid_floors),
    }
    if results.tuning:
        rows = tuning_rows(results.tuning, label_of(results), results.valid_floors)
        text = "".join("\t".join(row) + "\n" for row in rows)
        write_whole(workdir / "tuning.tsv", text.encode())
    label = label_of(results)
    path = workdir / "comparison.png"
    lines = [*results.lines, *results.floors]
    sweep_table.draw(path, lines, label=label, synthetic=results.synthetic)
    write_json(workdir / "comparison.json", numbers)


def text_of(results: Results) -> str:
    """The tables as they are printed.

    Args:
      results: of the sweep.
    """
    head = f"{'Synthetic data. ' if results.synthetic else ''}{results.repeats} splits."
    trials = len(results.tuning[0].settings) if results.tuning else 0
    tried = f" {trials} settings tried of every method: tuning.tsv." if trials else ""
    return "\n".join(
        [
            head + tried,
            sweep_table.render([*results.lines, *results.floors], label_of(results)),
            *([sweep_table.render_differences(results.differences)] if results.differences else []),
        ]
    )
