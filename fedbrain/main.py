"""Runs an experiment: python -m fedbrain.main --config=configs/quickstart.py [--workdir=DIR] [--config.FIELD=VALUE].

The same command resumes an interrupted run.
"""

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import config_flags

from fedbrain import build, startup
from fedbrain.build import Experiment
from fedbrain.data.dataset import Scans
from fedbrain.data.describe import describe
from fedbrain.data.tables import write_table
from fedbrain.experiment import Run, combine_splits, fingerprints, load_clients, measure_footprint, place, run_repeat
from fedbrain.federation import make_machine
from fedbrain.io import interrupt
from fedbrain.io.checkpoint import tree_digest
from fedbrain.io.run import MetricsLog, claim, write_json
from fedbrain.report import figures
from fedbrain.report.data_table import compare_sites, render_data
from fedbrain.report.results import Judged, summarise
from fedbrain.report.statistics import concatenate
from fedbrain.report.table import render_table

CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Where results go; by default runs/<name of the configuration>.")


def write_predictions(workdir: Path, runs: list[Run]) -> None:
    """One table per client, in the client's own folder: it names subjects and never leaves the hospital."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for run in runs:
        for site, parts in run.judged.items():
            for part, p in parts.items():
                lines = zip(run.ids[site][part], p.target.tolist(), p.prediction.tolist())
                rows.setdefault(site, []).extend((i, run.regime, run.folder.name, part, t, y) for i, t, y in lines)
    for site, lines in rows.items():
        columns = ["scan_id", "regime", "split", "part", "target", "prediction"]
        write_table(workdir / "clients" / site / "predictions.tsv", columns, lines)


def draw_figures(workdir: Path, runs: list[Run], judged: list[Judged], *, unit: str, synthetic: bool) -> None:
    """Losses of every federation, predictions of every regime."""
    for run in runs:
        history = MetricsLog.read(run.folder / "metrics.jsonl")
        title = f"{run.folder.parent.name}, {run.folder.name}"
        figures.losses(run.folder / "losses.png", history, title=title, synthetic=synthetic)
    for regime in judged[0]:
        tests = {site: concatenate([r[regime][site]["test"] for r in judged]) for site in judged[0][regime]}
        path = workdir / "figures" / f"predictions_{regime}.png"
        figures.predictions(path, tests, title=regime, unit=unit, synthetic=synthetic)


def train_and_report(
    experiment: Experiment, clients: dict[str, Scans], workdir: Path, *, synthetic: bool, more: Mapping[str, Any]
) -> dict[str, Any]:
    """Trains every regime on every split, and writes what came out."""
    machine = make_machine(experiment)
    repeats = [run_repeat(experiment, machine, clients, workdir=workdir, repeat=r) for r in range(experiment.repeats)]
    runs = [run for repeat in repeats for run in repeat]
    judged = [combine_splits(repeat) for repeat in repeats]
    results = {
        "unit": experiment.unit,
        "synthetic": synthetic,
        **more,
        "local_steps": {m: sum(r.trained.local_steps for r in runs if r.regime == m) for m in experiment.regimes},
        "variables_sha256": {f"{r.folder.parent.name}/{r.folder.name}": tree_digest(r.trained.variables) for r in runs},
        **summarise(judged),
    }
    write_json(workdir / "results.json", results)
    write_predictions(workdir, runs)
    draw_figures(workdir, runs, judged, unit=experiment.unit, synthetic=synthetic)
    return results


def run(config: Any, workdir: Path) -> None:
    """The story of an experiment."""
    experiment = build.read(config)
    clients, reports = load_clients(experiment)
    for report in reports:
        print(report)
    experiment, placed = place(experiment, clients)
    if placed:
        print(placed)
    data = compare_sites({name: describe(scans, experiment.describe) for name, scans in clients.items()})
    print(render_data(data), end="\n" if data else "")
    footprint = measure_footprint(experiment, clients)
    print(footprint)
    with claim(workdir, {"config": config.to_dict(), "data": fingerprints(clients)}):
        for report in reports:  # it names subjects: it stays with the site
            write_json(workdir / "clients" / report.site / "data_report.json", report.as_dict())
        synthetic = any(report.synthetic for report in reports)
        told = {"footprint": footprint._asdict(), "data": data}
        results = train_and_report(experiment, clients, workdir, synthetic=synthetic, more=told)
    print(render_table(results))
    print(f"Local steps in all: {results['local_steps']}. Results, figures and models: {workdir}")


def main(argv: list[str]) -> None:
    """Reads the flags, and says what went wrong in one sentence."""
    startup.configure()
    interrupt.install()
    warnings.filterwarnings("ignore", module="orbax|flax")
    name = Path(flags.FLAGS["config"].config_filename).stem  # pyright: ignore[reportAttributeAccessIssue]
    story = partial(run, CONFIG.value, Path(WORKDIR.value or f"runs/{name}"))
    startup.in_one_sentence(argv, story, interrupted="The same command goes on from the last round.")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
