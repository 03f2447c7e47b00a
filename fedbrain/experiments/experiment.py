"""Runs an experiment: reads the data, trains every regime on every split, writes and prints the
results.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis import figures
from fedbrain.analysis.data_table import compare_sites, render_data
from fedbrain.analysis.results import RegimePredictions, summarise
from fedbrain.analysis.results_table import render_table
from fedbrain.analysis.statistics import concatenate
from fedbrain.analysis.stored_predictions import write_tests
from fedbrain.data.dataset import Scans
from fedbrain.data.describe import describe
from fedbrain.data.tables import write_table
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.clients import fingerprints, load_clients
from fedbrain.experiments.compiled import compile_experiment
from fedbrain.experiments.config import Experiment, read_experiment
from fedbrain.experiments.placement import measure_footprint, place
from fedbrain.experiments.predictions import combine_splits
from fedbrain.experiments.repeats import Repeat, run_repeat
from fedbrain.experiments.workdir import MetricsLog, claim, write_json


def write_predictions(workdir: Path, repeats: list[Repeat]) -> None:
    """Writes one table of predictions per client, in the client's own folder: it names subjects and
    never leaves the hospital.

    Args:
      workdir: of the experiment.
      repeats: with the evaluations of their runs.
    """
    rows: dict[str, list[tuple[object, ...]]] = {}
    for repeat in repeats:
        for evaluation in [run.own for run in repeat.runs]:
            split_id = evaluation.split_id
            for site, parts in evaluation.predictions.items():
                for part, p in parts.items():
                    lines = zip(
                        repeat.ids[site, split_id, part], p.target.tolist(), p.prediction.tolist()
                    )
                    rows.setdefault(site, []).extend(
                        (i, evaluation.name, split_id.name, part, t, y) for i, t, y in lines
                    )
    for site, lines in rows.items():
        columns = ["scan_id", "regime", "split", "part", "target", "prediction"]
        write_table(workdir / "clients" / site / "predictions.tsv", columns, lines)


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
        figures.predictions(path, tests, title=regime, unit=unit, synthetic=synthetic)


def train_and_report(
    experiment: Experiment,
    clients: dict[str, Scans],
    workdir: Path,
    *,
    synthetic: bool,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Trains every regime on every split, and writes the results; `results.json` last, since it
    marks a finished experiment.

    Args:
      experiment: with residence and driver chosen.
      clients: name -> scans.
      workdir: of the experiment.
      synthetic: whether images of no real person are among the scans.
      more: further entries of `results.json`.

    Returns:
      What `results.json` holds.
    """
    compiled = compile_experiment(experiment)
    repeats = [
        run_repeat(experiment, compiled, clients, workdir=workdir, repeat=r)
        for r in experiment.repeats
    ]
    runs = [run for repeat in repeats for run in repeat.runs]
    own = [combine_splits([run.own for run in repeat.runs]) for repeat in repeats]
    crossed = [
        combine_splits([e for run in repeat.runs for e in run.crossed]) for repeat in repeats
    ]
    baselines = [combine_splits(repeat.baselines) for repeat in repeats]
    results = {
        "unit": experiment.unit,
        "synthetic": synthetic,
        "images": {name: len(scans) for name, scans in clients.items()},
        **more,
        "local_steps": {
            m: sum(r.trained.local_steps for r in runs if r.regime == m) for m in experiment.regimes
        },
        "variables_sha256": {
            f"{r.folder.parent.name}/{r.folder.name}": tree_digest(r.trained.variables)
            for r in runs
        },
        **summarise(own, baselines, crossed),
    }
    write_predictions(workdir, repeats)
    write_tests(
        workdir,
        {r: {**a, **b, **c} for r, a, b, c in zip(experiment.repeats, own, crossed, baselines)},
    )
    draw_figures(workdir, repeats, own, unit=experiment.unit, synthetic=synthetic)
    write_json(workdir / "results.json", results)
    return results


def run(config: Any, workdir: Path) -> None:
    """Runs an experiment: reads the data, trains, writes the results and prints them.

    Args:
      config: an `ml_collections.ConfigDict` with the fields of `configs/base.py`.
      workdir: where results go; the same call resumes an interrupted run.

    Raises:
      ValueError: one sentence that names the file or the field.
    """
    experiment = read_experiment(config)
    clients, reports = load_clients(experiment)
    for report in reports:
        print(report)
    experiment, placed = place(experiment, clients)
    if placed:
        print(placed)
    data = compare_sites(
        {name: describe(scans, experiment.describe) for name, scans in clients.items()}
    )
    print(render_data(data), end="\n" if data else "")
    footprint = measure_footprint(experiment, clients)
    print(footprint)
    with claim(workdir, {"config": config.to_dict(), "data": fingerprints(clients)}):
        for report in reports:  # it names subjects: it stays with the site
            write_json(workdir / "clients" / report.site / "data_report.json", report.as_dict())
        synthetic = any(report.synthetic for report in reports)
        measured = {"footprint": footprint._asdict(), "data": data}
        results = train_and_report(experiment, clients, workdir, synthetic=synthetic, more=measured)
    print(render_table(results))
    steps = ", ".join(f"{regime} {n:,}" for regime, n in results["local_steps"].items())
    print(f"Local optimisation steps: {steps}")
    print(f"Results, figures and models: {workdir}")
