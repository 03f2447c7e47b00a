"""The runs that a site saw to their end, a line each: which folder holds what."""

import json
from pathlib import Path
from typing import Any

from fedbrain.experiments.workdir import read_config

REGIMES = {"federated": "together", "local": "alone"}


def describe_runs(kit: Path) -> list[str]:
    """Folder, target, layers that train, start, seed, and the errors on the site's test people.

    Args:
      kit: of the site.
    """
    folders = sorted(path.parent for path in kit.glob("fedbrain/*/results.json"))
    return [_describe(folder) for folder in folders]


def _describe(folder: Path) -> str:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    identity = read_config(folder)
    config = identity["config"]
    start = "a model that was sent" if config["initial"].startswith("sent") else "random weights"
    errors = []
    for regime, words in REGIMES.items():
        of_sites = results["regimes"].get(regime, {}).get("clients", {})
        errors += [
            f"{words} {m['mae']:.2f} (median predictor {m['floor_mae']:.2f}, {m['subjects']}"
            " test people)"
            for m in of_sites.values()
        ]
    synthetic = "SYNTHETIC " if results["synthetic"] else ""
    return (
        f"{folder}: {identity.get('target', '')}, trains {config['trainable']} from {start}, seed"
        f" {config['seed']}; {synthetic}MAE in {results['unit']}: {'; '.join(errors)}"
    )
