"""The end of a run at the server: every site tests the best model on its own test scans and tells a
table's row, no more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis import figures
from fedbrain.analysis.results import macro
from fedbrain.analysis.results_table import accuracy_rows, align
from fedbrain.deploy.protocol.messages import read_report
from fedbrain.deploy.server_side.rounds import Side, State, ask
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.workdir import MetricsLog, write_json
from fedbrain.models.files.weights import save


def render(results: Mapping[str, Any]) -> str:
    """Text for people."""
    kind = "SYNTHETIC data: says nothing about real brains. " if results["synthetic"] else ""
    rows = accuracy_rows({**results["clients"], "macro": results["macro"]})
    lines = [
        (
            f"{kind}Test sets, errors in {results['unit']}; 95 %: bootstrap over subjects; floor:"
            " the median predictor."
        ),
        *align(rows),
    ]
    lines += [f"{site}: nothing told: {why}" for site, why in results["untold"].items()]
    return "\n".join(
        [*lines, f"{results['rounds']} rounds; the best is round {results['best_round']}."]
    )


def report(side: Side, state: State, *, workdir: Path) -> dict[str, Any]:
    """Asks for the tests; writes the model (without what is private), the losses, the table, and
    `results.json` last.

    A site whose answer does not come, or that has too few test subjects to tell of them, is named
    with the reason.
    """
    variables = {"params": state.best_server.params, **state.best_server.model_state}
    answers, left, _ = ask(side, side.sites, state, "reported")
    refused = side.progress.told.get("refused", {})
    clients = {name: read_report(answers[name]) for name in sorted(answers)}
    results = {
        "unit": side.agreement.experiment.unit,
        "synthetic": any(site.synthetic for site in side.sites.values()),
        "rounds": int(state.server.round),
        "best_round": int(state.selection.best_round),
        "best_loss": float(state.selection.best_loss),
        "clients": clients,
        "macro": macro(clients) if clients else {},
        "untold": {name: refused.get(name, why) for name, why in left.items()},
        "variables_sha256": tree_digest(
            dict.fromkeys(side.sites, variables)
        ),  # as a simulation's results have it
    }
    save(variables, str(workdir / "model.safetensors"), torch=False)
    history, synthetic = MetricsLog.read(workdir / "metrics.jsonl"), results["synthetic"]
    figures.losses(workdir / "losses.png", history, title="Losses", synthetic=synthetic)
    (workdir / "report.txt").write_text(render(results) + "\n", encoding="utf-8")
    write_json(workdir / "results.json", results)
    return results
