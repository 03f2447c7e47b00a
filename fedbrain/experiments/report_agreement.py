"""What a report says of agreement, from the predictions that a simulation keeps."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis.agreement import agreement_figure, agreement_rows
from fedbrain.analysis.figures import svg
from fedbrain.analysis.html_page import Block, Picture, Section, Table
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.stored_predictions import read_tests

ABOUT = (
    "Limits of agreement (Bland and Altman) hold 95 % of the differences, predicted - true, where"
    " these are normal. The calibration slope is that of true on predicted values: 1 is calibrated."
)


def _tests(workdir: Path, results: Mapping[str, Any]) -> dict[str, dict[str, Predictions]]:
    """Regime -> site -> predictions of numbers; empty where they are not in the folder."""
    if results.get("classes") or "regimes" not in results:
        return {}
    try:
        tests = read_tests(workdir)
    except (ValueError, KeyError):
        return {}
    return {regime: tests[regime] for regime in results["regimes"] if regime in tests}


def agreement_section(workdir: Path, results: Mapping[str, Any]) -> Section:
    """Limits of agreement and calibration of every regime; empty where there are no predictions.

    Args:
      workdir: of the experiment.
      results: what `results.json` holds.
    """
    return Section("Agreement and calibration", list(_blocks(_tests(workdir, results), results)))


def _blocks(
    tests: Mapping[str, Mapping[str, Predictions]], results: Mapping[str, Any]
) -> Iterator[Block]:
    if not tests:
        return
    unit, synthetic = results["unit"], results["synthetic"]
    yield ABOUT
    yield Table(f"Agreement, in {unit}", agreement_rows(tests))
    for regime, sites in tests.items():
        figure = agreement_figure(sites, title=regime, unit=unit, synthetic=synthetic)
        yield Picture(f"Difference against mean of predicted and true: {regime}", svg(figure))
