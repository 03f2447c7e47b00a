"""The end of a run at the server: every site tests the best model on its own test scans and sends
one row of a table.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedbrain.analysis import figures
from fedbrain.analysis.regression import macro
from fedbrain.analysis.site_groups import read_numbers, together
from fedbrain.analysis.site_sums import pooled
from fedbrain.deploy.protocol.answers import read_report
from fedbrain.deploy.protocol.plausible import KEPT
from fedbrain.deploy.protocol.runnable import ALONE, TOGETHER
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.server_side.crossed import Crossed, collect_crossed
from fedbrain.deploy.server_side.described import collect_described
from fedbrain.deploy.server_side.exchange import Answers, Side, collect_answers
from fedbrain.deploy.server_side.linear_floors import Floor, collect_floors
from fedbrain.deploy.server_side.report_text import render
from fedbrain.deploy.server_side.splits_ended import Ended, with_tests_of_all
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.exclusions import absences
from fedbrain.experiments.round_end import Snapshot
from fedbrain.experiments.workdir import MetricsLog, write_json
from fedbrain.models.files.weights import save


def read_rows(answers: Answers) -> dict[str, dict[str, Any]]:
    """Site -> accuracy on its test scans, in the order of the sites' names.

    Args:
      answers: about test scans.
    """
    return {name: read_report(answers.admitted[name]) for name in sorted(answers.admitted)}


def pooled_row(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The row over all test scans, where every site tells the sums that it takes; or empty.

    Args:
      rows: site -> what it told.
    """
    if not rows or not all("sums" in row for row in rows.values()):
        return {}
    return pooled({name: {**row, **row["sums"]} for name, row in rows.items()})


def collect_alone(side: Side, snapshot: Snapshot, kind: str = "alone") -> Answers:
    """Has every site train alone, if the job says so; what they tell of what comes of it.

    Args:
      side: the server's.
      snapshot: after the last round.
      kind: of the answer.
    """
    if ALONE not in side.agreement.experiment.regimes:
        return Answers({}, {}, [])
    return collect_answers(side, side.sites, snapshot, kind)


def collect_rows(ended: Sequence[Ended]) -> tuple[Answers, Crossed, Answers]:
    """What sites tell of models trained alone, of each other's, and of those trained together: over
    the test people of all repeats.

    Sites keep the models of every split and tell of all of them with the last one.

    Args:
      ended: splits of the run.
    """
    for side, snapshot, _ in ended[:-1]:
        collect_alone(side, snapshot, KEPT["alone"])
        collect_answers(side, side.sites, snapshot, KEPT["reported"])
    last, side = ended[-1], with_tests_of_all(ended)
    lone = collect_alone(side, last.snapshot)
    crossed = collect_crossed(side, read_rows(lone))
    return (
        lone,
        crossed,
        collect_answers(side, side.sites, last.snapshot, "reported"),
    )


def describe_split(ended: Ended) -> dict[str, Any]:
    """Rounds and model of a split, as `results.json` holds them.

    Args:
      ended: the split.
    """
    side, snapshot, _ = ended
    variables = variables_of(snapshot.best_server)
    return {
        "rounds": int(snapshot.server.round),
        "best_round": int(snapshot.selection.best_round),
        "best_loss": float(snapshot.selection.best_loss),
        "variables_sha256": tree_digest(dict.fromkeys(side.sites, variables)),
    }


def groups_of(side: Side, answers: Mapping[str, Answers]) -> dict[str, Any]:
    """Column of `report_by` -> regime -> site, or "pooled" -> rows.

    Args:
      side: the server's.
      answers: of every regime, about test scans.
    """
    groups: dict[str, dict[str, Any]] = {}
    for column, bands in side.agreement.experiment.report_by.items():
        for regime, told in answers.items():
            numbers = {}
            for name in sorted(told.admitted):
                scalars = told.admitted[name].envelope.scalars
                try:
                    numbers[name] = scalars if read_numbers(column, bands, scalars) else {}
                except ValueError as error:
                    side.notify(name, str(error))
            if numbers:
                groups.setdefault(column, {})[regime] = together(column, bands, numbers)
    return groups


def describe_floor(floor: Floor) -> dict[str, Any]:
    """A linear regression, as `results.json` holds it.

    Args:
      floor: that sites tested.
    """
    rows = read_rows(floor.answers)
    means = {"pooled": pooled_row(rows), "macro": macro(rows) if rows else {}}
    return {"clients": rows, **means, "without": floor.without, "untold": floor.answers.left_out}


def report(ended: Sequence[Ended], *, workdir: Path) -> dict[str, Any]:
    """Collects the sites' test results; writes the models (without private leaves), the losses, the
    table, and `results.json` last.

    A site whose answer does not come, or that has too few test subjects to report on, is named with
    the reason.

    Args:
      ended: every split of the run.
      workdir: of the run.

    Returns:
      What `results.json` holds.
    """
    side = ended[-1].side
    floors = collect_floors(ended)  # before the last question of a run
    data, undescribed = collect_described(ended[0].side)
    lone, crossed, answers = collect_rows(ended)
    clients, alone = read_rows(answers), read_rows(lone)
    synthetic = any(site.synthetic for site in side.sites.values())
    histories = [MetricsLog.read(e.folder / "metrics.jsonl") for e in ended]
    splits = {e.side.agreement.split_id.name: describe_split(e) for e in ended}
    # as a simulation's results have it
    models = {f"{TOGETHER}/{name}": split.pop("variables_sha256") for name, split in splits.items()}
    several = {"splits": splits, "variables_sha256": models}
    results = {
        "unit": side.agreement.experiment.unit,
        "synthetic": synthetic,
        **(describe_split(ended[0]) if len(ended) == 1 else several),
        "clients": clients,
        "macro": macro(clients) if clients else {},
        "pooled": pooled_row(clients),
        "alone": alone,
        "alone_macro": macro(alone) if alone else {},
        "alone_pooled": pooled_row(alone),
        "baselines": {floor.title: describe_floor(floor) for floor in floors},
        "crossed": crossed.rows,
        "data": data,
        "undescribed": undescribed,
        "groups": groups_of(side, {TOGETHER: answers, ALONE: lone}),
        "untold": {**crossed.untold, **lone.left_out, **answers.left_out},
        "absent": absences([line for history in histories for line in history]),
    }
    for e, history in zip(ended, histories):
        name = "model" if len(ended) == 1 else f"model-{e.side.agreement.split_id.name}"
        path = workdir / f"{name}.safetensors"
        save(variables_of(e.snapshot.best_server), str(path), torch=False)
        figures.losses(e.folder / "losses.png", history, title="Losses", synthetic=synthetic)
    (workdir / "report.txt").write_text(render(results) + "\n", encoding="utf-8")
    write_json(workdir / "results.json", results)
    return results
