"""The end of a run at the server: every site tests the best model on its own test scans and sends
one row of a table.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis import figures
from fedbrain.analysis.results import macro
from fedbrain.analysis.results_table import accuracy_rows, align
from fedbrain.deploy.protocol.answers import read_report
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.server_side.exchange import Side, collect_answers
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
    rows = accuracy_rows({**results["clients"], "macro": results["macro"]})
    lines = [
        (
            f"{kind}Test sets, errors in {results['unit']}; 95 %: over people; floor:"
            " the median predictor."
        ),
        *align(rows),
    ]
    lines += [f"{site}: no test results: {why}" for site, why in results["untold"].items()]
    lines += [
        f"WARNING {site} is missing in {lost['rounds']} of {lost['of']} rounds; last reason:"
        f" {lost['reason']}"
        for site, lost in results["absent"].items()
    ]
    return "\n".join([*lines, f"Rounds: {results['rounds']}; best round: {results['best_round']}."])


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
    answers = collect_answers(side, side.sites, snapshot, "reported")
    reasons = side.progress.status.get("refused", {})
    history = MetricsLog.read(folder / "metrics.jsonl")
    clients = {name: read_report(answers.admitted[name]) for name in sorted(answers.admitted)}
    results = {
        "unit": side.agreement.experiment.unit,
        "synthetic": any(site.synthetic for site in side.sites.values()),
        "rounds": int(snapshot.server.round),
        "best_round": int(snapshot.selection.best_round),
        "best_loss": float(snapshot.selection.best_loss),
        "clients": clients,
        "macro": macro(clients) if clients else {},
        "untold": {name: reasons.get(name, why) for name, why in answers.left_out.items()},
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
