"""Runs an experiment: reads the data, trains every regime on every split, writes and prints the
results.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.analysis.data_table import compare_sites, render_data
from fedbrain.analysis.groups import Grouping, by_group
from fedbrain.analysis.groups_table import render_results
from fedbrain.analysis.results import RegimePredictions, summarise, together
from fedbrain.analysis.stored_predictions import write_tests
from fedbrain.data.bands import classes_of_people
from fedbrain.data.dataset import Scans, shape_of
from fedbrain.data.describe import describe
from fedbrain.experiments.advice import advise
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.clients import fingerprints, load_clients
from fedbrain.experiments.compiled import compile_experiment
from fedbrain.experiments.config import Experiment, read_experiment
from fedbrain.experiments.exclusions import sentences
from fedbrain.experiments.extend import extend
from fedbrain.experiments.known_people import write_scans
from fedbrain.experiments.made_by import recorded
from fedbrain.experiments.placement import measure_footprint, place
from fedbrain.experiments.predictions import combine_splits
from fedbrain.experiments.private import Spent, account
from fedbrain.experiments.ready import require_ready
from fedbrain.experiments.repeats import Repeat, Run, run_repeat
from fedbrain.experiments.run_files import draw_figures, write_cohorts, write_predictions
from fedbrain.experiments.site_intensities import write_intensities
from fedbrain.experiments.site_shares import describe_processes
from fedbrain.experiments.workdir import claim, write_json
from fedbrain.experiments.writing import require_writable
from fedbrain.processes import peers


class Combined(NamedTuple):
    """Predictions combined over inner splits: lists with one element per repeat."""

    own: list[RegimePredictions]  # of every regime, for every site's own scans
    crossed: list[RegimePredictions]  # of single models, for the test scans of all sites
    baselines: list[RegimePredictions]


def combine(repeats: list[Repeat]) -> Combined:
    """Combines the predictions of every repeat over its inner splits.

    Args:
      repeats: with their runs and baselines.
    """
    return Combined(
        own=[combine_splits([run.own for run in r.runs]) for r in repeats],
        crossed=[combine_splits([e for run in r.runs for e in run.crossed]) for r in repeats],
        baselines=[combine_splits(r.baselines) for r in repeats],
    )


def name_of(run: Run) -> str:
    """A federation and its split, as results name them.

    Args:
      run: whose.
    """
    return f"{run.folder.parent.name}/{run.folder.name}"


def collect_results(
    experiment: Experiment, repeats: list[Repeat], combined: Combined
) -> dict[str, Any]:
    """Local steps, digests of the models and accuracies, as `results.json` holds them.

    Args:
      experiment: that was run.
      repeats: with their runs.
      combined: their predictions.
    """
    runs = [run for repeat in repeats for run in repeat.runs]
    return {
        "local_steps": {
            regime: sum(run.trained.local_steps for run in runs if run.regime == regime)
            for regime in experiment.regimes
        },
        "variables_sha256": {name_of(run): tree_digest(run.trained.variables) for run in runs},
        "excluded": {name_of(run): run.trained.excluded for run in runs if run.trained.excluded},
        **privacy_results(experiment, runs),
        **summarise(combined.own, combined.baselines, combined.crossed),
    }


def privacy_results(experiment: Experiment, runs: list[Run]) -> dict[str, Any]:
    """`privacy` of `results.json`; nothing without noise.

    Args:
      experiment: that was run.
      runs: of all repeats and splits.
    """
    if experiment.privacy is None:
        return {}
    regimes: dict[str, dict[str, list[Spent]]] = {name: {} for name in experiment.regimes}
    for run in runs:
        for name, spent in run.trained.spent.items():
            regimes[run.regime].setdefault(name, []).append(spent)
    return {"privacy": account(experiment.privacy, regimes)}


def group_results(
    experiment: Experiment, clients: Mapping[str, Scans], predictions: list[RegimePredictions]
) -> dict[str, Any]:
    """Accuracy on test scans by the columns of `report_by`: column -> regime -> site -> classes.

    Args:
      experiment: that was run.
      clients: name -> scans, which say who is in which class.
      predictions: of every regime, one element per repeat.
    """
    groups: dict[str, Any] = {}
    for column, bands in experiment.report_by.items():
        people = {
            f"{site}/{subject}": k
            for site, scans in clients.items()
            for subject, k in classes_of_people(scans, column, bands).items()
        }
        groups[column] = {
            regime: by_group({s: p["test"] for s, p in sites.items()}, Grouping(bands, people))
            for regime, sites in together(predictions).items()
        }
    return groups


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
      What `results.json` holds; nothing at processes that do not write it.
    """
    compiled = compile_experiment(experiment)
    repeats = [
        run_repeat(experiment, compiled, clients, workdir=workdir, repeat=r)
        for r in experiment.repeats
    ]
    if peers.index():
        return {}  # process 0 has the same, and writes it
    combined = combine(repeats)
    results = {
        "unit": experiment.unit,
        **({"classes": list(experiment.classes)} if experiment.classes else {}),
        "synthetic": synthetic,
        "images": {name: len(scans) for name, scans in clients.items()},
        **more,
        **collect_results(experiment, repeats, combined),
    }
    if experiment.report_by:
        results["groups"] = group_results(experiment, clients, combined.own)
    write_predictions(workdir, repeats)
    tests = zip(combined.own, combined.crossed, combined.baselines)
    write_tests(workdir, {r: {**a, **b, **c} for r, (a, b, c) in zip(experiment.repeats, tests)})
    unit = experiment.unit
    write_cohorts(workdir, clients, unit=unit, classes=experiment.classes, synthetic=synthetic)
    draw_figures(workdir, repeats, combined.own, unit=unit, synthetic=synthetic)
    write_intensities(workdir, experiment, clients)
    write_json(workdir / "results.json", results)
    return results


def run(config: Any, workdir: Path, *, more_rounds: bool = False) -> None:
    """Runs an experiment: reads the data, trains, writes the results and prints them.

    Args:
      config: an `ml_collections.ConfigDict` with the fields of `configs/base.py`.
      workdir: where results go; the same call resumes an interrupted run. It is made when training
        begins: what is refused before leaves nothing there.
      more_rounds: whether `config.rounds` may be more than those of the run in `workdir` (see
        `extend`).

    Raises:
      ValueError: one sentence that names the file or the field.
    """
    require_writable(workdir)
    experiment = read_experiment(config)
    clients, reports = load_clients(experiment)
    for report in reports:
        print(report)
    warnings = advise(config, experiment, clients, reports)
    experiment, placed = place(experiment, clients)
    for line in filter(None, (describe_processes(clients), placed)):
        print(line)
    data = compare_sites(
        {name: describe(scans, experiment.describe) for name, scans in clients.items()}
    )
    print(render_data(data), end="\n" if data else "")
    footprint = measure_footprint(experiment, clients)
    print(footprint)
    print(warnings, end="\n" if warnings else "")
    require_ready(experiment, clients, shape_of(list(clients.values())))
    identity = {"config": config.to_dict(), "data": fingerprints(clients)}
    if more_rounds:
        extend(workdir, experiment, identity)
    with claim(workdir, identity), recorded(workdir):
        for report in reports:  # it names subjects: it stays with the site
            write_json(workdir / "clients" / report.site / "data_report.json", report.as_dict())
        write_scans(workdir, experiment, clients)
        synthetic = any(report.synthetic for report in reports)
        measured = {"footprint": footprint._asdict(), "data": data}
        results = train_and_report(experiment, clients, workdir, synthetic=synthetic, more=measured)
    if not results:
        return
    print("\n".join([render_results(results), *sentences(results["excluded"])]))
    steps = ", ".join(f"{regime} {n:,}" for regime, n in results["local_steps"].items())
    print(f"Local optimisation steps: {steps}")
    print(f"Results, figures and models: {workdir}")
