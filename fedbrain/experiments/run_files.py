"""The files of a finished experiment beside `results.json`: predictions, which stay with each
client, and figures.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedbrain.analysis import cohorts, figures
from fedbrain.analysis.predictions import concatenate
from fedbrain.analysis.results import RegimePredictions
from fedbrain.analysis.stored_predictions import cells_of, columns_of
from fedbrain.data.dataset import Scans
from fedbrain.data.tables import write_table
from fedbrain.experiments.repeats import Repeat
from fedbrain.experiments.workdir import MetricsLog


def write_predictions(workdir: Path, repeats: list[Repeat]) -> None:
    """Writes one table of predictions per client, in the client's own folder: it names subjects and
    never leaves the hospital.

    Args:
      workdir: of the experiment.
      repeats: with the evaluations of their runs.
    """
    rows: dict[str, list[tuple[object, ...]]] = {}
    columns = ["scan_id", "regime", "split", "part"]
    for repeat in repeats:
        for evaluation in [run.own for run in repeat.runs]:
            split_id = evaluation.split_id
            for site, parts in evaluation.predictions.items():
                for part, p in parts.items():
                    lines = zip(repeat.ids[site, split_id, part], cells_of(p))
                    rows.setdefault(site, []).extend(
                        (i, evaluation.name, split_id.name, part, *cells) for i, cells in lines
                    )
                    columns[4:] = columns_of(p.classes)
    for site, lines in rows.items():
        write_table(workdir / "clients" / site / "predictions.tsv", columns, lines)


def write_cohorts(
    workdir: Path,
    clients: Mapping[str, Scans],
    *,
    unit: str,
    classes: Sequence[str],
    synthetic: bool,
) -> None:
    """Who holds what, as a table of counts and a figure.

    Args:
      workdir: of the experiment.
      clients: name -> scans.
      unit: of the target.
      classes: names, where the target is a class.
      synthetic: whether the figure says so.
    """
    counted = cohorts.count(clients, classes)
    header, *rows = cohorts.rows_of(counted)
    write_table(workdir / "figures" / "clients.tsv", header, rows)
    path = workdir / "figures" / "clients.png"
    cohorts.draw(path, counted, unit=unit, synthetic=synthetic)


def draw_figures(
    workdir: Path,
    repeats: list[Repeat],
    predictions: list[RegimePredictions],
    *,
    unit: str,
    synthetic: bool,
) -> None:
    """Draws the losses of every federation and the predictions of every regime.

    Args:
      workdir: of the experiment.
      repeats: with the folders of their runs.
      predictions: of every regime, one element per repeat.
      unit: of the target.
      synthetic: whether figures say so.
    """
    for run in [run for repeat in repeats for run in repeat.runs]:
        history = MetricsLog.read(run.folder / "metrics.jsonl")
        title = f"{run.folder.parent.name}, {run.folder.name}"
        figures.losses(run.folder / "losses.png", history, title=title, synthetic=synthetic)
    for regime in predictions[0]:
        tests = {
            site: concatenate([r[regime][site]["test"] for r in predictions])
            for site in predictions[0][regime]
        }
        path = workdir / "figures" / f"predictions_{regime}.png"
        kind = {"title": regime, "synthetic": synthetic}
        if next(iter(tests.values())).classes:
            figures.confusion(path, tests, **kind)
        else:
            figures.predictions(path, tests, unit=unit, **kind)
