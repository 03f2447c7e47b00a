"""The end of a run at the server: every site tests the best model on its own test scans and sends
one row of a table.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis import figures
from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.privacy_table import privacy_lines
from fedbrain.analysis.regression import macro
from fedbrain.analysis.results_table import accuracy_rows
from fedbrain.deploy.protocol.answers import read_report
from fedbrain.deploy.protocol.runnable import ALONE
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.server_side.exchange import Answers, Side, collect_answers
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.exclusions import absences
from fedbrain.experiments.round_end import Snapshot
from fedbrain.experiments.workdir import MetricsLog, write_json
from fedbrain.models.files.weights import save


def render(results: Mapping[str, Any]) -> str:
    """The results as a table of text.

    Args:
      results: what `results.json` holds.
    """
    kind = "SYNTHETIC data: says nothing about real brains. " if results["synthetic"] else ""
    columns = columns_of(results)
    tables = [("Together", "clients", "macro")] if results["clients"] else []
    tables += [("Each site alone", "alone", "alone_macro")] if results["alone"] else []
    lines = [f"{kind}Test sets, {columns.legend.format(unit=results['unit'])}"]
    for title, sites, mean in tables:
        rows = accuracy_rows({**results[sites], "macro": results[mean]}, columns)
        lines += [f"{title}:", *align(rows)] if len(tables) > 1 else align(rows)
    lines += privacy_lines(results)
    lines += [f"{site}: no test results: {why}" for site, why in results["untold"].items()]
    lines += [
        f"WARNING {site} is missing in {lost['rounds']} of {lost['of']} rounds; last reason:"
        f" {lost['reason']}"
        for site, lost in results["absent"].items()
    ]
    return "\n".join([*lines, f"Rounds: {results['rounds']}; best round: {results['best_round']}."])


def read_rows(answers: Answers) -> dict[str, dict[str, Any]]:
    """Site -> accuracy on its test scans, in the order of the sites' names.

    Args:
      answers: about test scans.
    """
    return {name: read_report(answers.admitted[name]) for name in sorted(answers.admitted)}


def collect_alone(side: Side, snapshot: Snapshot) -> Answers:
    """Has every site train alone, if the job says so; what they tell of what comes of it.

    Args:
      side: the server's.
      snapshot: after the last round.
    """
    if ALONE not in side.agreement.experiment.regimes:
        return Answers({}, {}, [])
    return with_reasons(side, collect_answers(side, side.sites, snapshot, "alone"))


def with_reasons(side: Side, answers: Answers) -> Answers:
    """The answers, with the sentences of sites that refused.

    Args:
      side: the server's.
      answers: to its last question.
    """
    reasons = side.progress.status.get("refused", {})
    left_out = {name: reasons.get(name, why) for name, why in answers.left_out.items()}
    return answers._replace(left_out=left_out)


def report(side: Side, snapshot: Snapshot, *, workdir: Path, folder: Path) -> dict[str, Any]:
    """Collects the sites' test results; writes the model (without private leaves), the losses, the
    table, and `results.json` last.

    A site whose answer does not come, or that has too few test subjects to report on, is named with
    the reason.

    Args:
      side: the server's.
      snapshot: after the last round.
      workdir: of the run.
      folder: of its federation.

    Returns:
      What `results.json` holds.
    """
    variables = variables_of(snapshot.best_server)
    lone = collect_alone(side, snapshot)
    answers = with_reasons(side, collect_answers(side, side.sites, snapshot, "reported"))
    history = MetricsLog.read(folder / "metrics.jsonl")
    clients, alone = read_rows(answers), read_rows(lone)
    results = {
        "unit": side.agreement.experiment.unit,
        "synthetic": any(site.synthetic for site in side.sites.values()),
        "rounds": int(snapshot.server.round),
        "best_round": int(snapshot.selection.best_round),
        "best_loss": float(snapshot.selection.best_loss),
        "clients": clients,
        "macro": macro(clients) if clients else {},
        "alone": alone,
        "alone_macro": macro(alone) if alone else {},
        "untold": {**lone.left_out, **answers.left_out},
        "absent": absences(history),
        "variables_sha256": tree_digest(
            dict.fromkeys(side.sites, variables)
        ),  # as a simulation's results have it
    }
    save(variables, str(workdir / "model.safetensors"), torch=False)
    synthetic = results["synthetic"]
    figures.losses(folder / "losses.png", history, title="Losses", synthetic=synthetic)
    (workdir / "report.txt").write_text(render(results) + "\n", encoding="utf-8")
    write_json(workdir / "results.json", results)
    return results
