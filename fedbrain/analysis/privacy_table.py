"""What a run says of the differential privacy of its people."""

from collections.abc import Mapping
from typing import Any

from fedbrain.analysis.cells import align

COVERED = (
    "of people who train or validate; test results, numbers of scans and what is known of"
    " people otherwise are not covered"
)


def privacy_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """A header, and epsilon of every client; empty without differential privacy.

    Args:
      results: what `results.json` holds, of a simulation or of a run between hospitals.
    """
    if "privacy" in results:
        regimes = results["privacy"]["regimes"]
        names = list(dict.fromkeys(name for of in regimes.values() for name in of))
        rows = [["epsilon", *regimes]]
        for name in names:
            told = [of.get(name, {}).get("epsilon") for of in regimes.values()]
            rows.append([f"  {name}", *("n/a" if e is None else f"{e:.3g}" for e in told)])
        return rows
    told = {name: m for name, m in results.get("clients", {}).items() if "epsilon" in m}
    rows = [["epsilon", "federated", "delta"]] if told else []
    return rows + [[f"  {k}", f"{m['epsilon']:.3g}", f"{m['delta_dp']:g}"] for k, m in told.items()]


def privacy_lines(results: Mapping[str, Any]) -> list[str]:
    """The same as lines of text, with what the numbers cover.

    Args:
      results: what `results.json` holds.
    """
    rows = privacy_rows(results)
    if not rows:
        return []
    delta = f", delta {results['privacy']['delta_dp']:g}" if "privacy" in results else ""
    return [f"Differential privacy{delta}, {COVERED}:", *align(rows)]
