"""The end of a run at the server: every site tests the best model on its own test scans and sends
one row of a table.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.analysis import figures
from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.privacy_table import privacy_lines
from fedbrain.analysis.regression import macro
from fedbrain.analysis.results_table import accuracy_rows
from fedbrain.analysis.site_sums import pooled
from fedbrain.deploy.protocol.answers import read_report
from fedbrain.deploy.protocol.plausible import KEPT
from fedbrain.deploy.protocol.runnable import ALONE, TOGETHER
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.server_side.exchange import Answers, Side, collect_answers
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.exclusions import absences
from fedbrain.experiments.round_end import Snapshot
from fedbrain.experiments.site_tables import rounds_of
from fedbrain.experiments.workdir import MetricsLog, write_json
from fedbrain.models.files.weights import save


def render(results: Mapping[str, Any]) -> str:
    """The results as a table of text.

    Args:
      results: what `results.json` holds.
    """
    kind = "SYNTHETIC data: says nothing about real brains. " if results["synthetic"] else ""
    columns = columns_of(results)
    tables = [("Together", "clients", "")] if results["clients"] else []
    tables += [("Each site alone", "alone", "alone_")] if results["alone"] else []
    lines = [f"{kind}Test sets, {columns.legend.format(unit=results['unit'])}"]
    for title, sites, prefix in tables:
        pooled_too = {"pooled": p} if (p := results.get(f"{prefix}pooled")) else {}
        means = {**pooled_too, "macro": results[f"{prefix}macro"]}
        rows = accuracy_rows({**results[sites], **means}, columns)
        lines += [f"{title}:", *align(rows)] if len(tables) > 1 else align(rows)
    lines += privacy_lines(results)
    lines += [f"{site}: no test results: {why}" for site, why in results["untold"].items()]
    lines += [
        f"WARNING {site} is missing in {lost['rounds']} of {lost['of']} rounds; last reason:"
        f" {lost['reason']}"
        for site, lost in results["absent"].items()
    ]
    return "\n".join([*lines, *rounds_of(results)])


def read_rows(answers: Answers) -> dict[str, dict[str, Any]]:
    """Site -> accuracy on its test scans, in the order of the sites' names.

    Args:
      answers: about test scans.
    """
    return {name: read_report(answers.admitted[name]) for name in sorted(answers.admitted)}


class Ended(NamedTuple):
    """One split of a run, whose rounds are over."""

    side: Side  # the server's
    snapshot: Snapshot  # after the last round
    folder: Path  # of its federation


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


def collect_rows(ended: Sequence[Ended]) -> tuple[Answers, Answers]:
    """What sites tell of models trained alone, and together: over the test people of all repeats.

    Sites keep the models of every split and tell of all of them with the last one.

    Args:
      ended: splits of the run.
    """
    for side, snapshot, _ in ended[:-1]:
        collect_alone(side, snapshot, KEPT["alone"])
        collect_answers(side, side.sites, snapshot, KEPT["reported"])
    last = ended[-1]
    of_repeat = {e.side.agreement.split_id.repeat: e.side.sites for e in ended}.values()
    sites = {
        name: site._replace(
            test=sum(sites[name].test for sites in of_repeat),
            valid=sum(e.side.sites[name].valid for e in ended),
        )
        for name, site in last.side.sites.items()
    }
    side = last.side._replace(sites=sites)
    lone = collect_alone(side, last.snapshot)
    return lone, collect_answers(side, sites, last.snapshot, "reported")


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
    lone, answers = collect_rows(ended)
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
        "untold": {**lone.left_out, **answers.left_out},
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
