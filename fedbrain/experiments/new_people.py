"""What a table of predictions says of each new person beyond the prediction: how far models differ,
how wide an interval is, and the gap to the true value, corrected and not.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.cells import number
from fedbrain.analysis.conformal import SHARE, Margins, margins
from fedbrain.data.regimes import LEFT_OUT
from fedbrain.data.tables import parse_number, read_table

COLUMNS = (
    "low_95", "high_95", "models_sd",
    "gap", "gap_low_95", "gap_high_95",
    "corrected_gap", "corrected_gap_low_95", "corrected_gap_high_95",
)  # fmt: skip


def _regime_of(federation: str) -> tuple[str, str]:
    """(regime, pattern of its clients) of a federation."""
    for start, regime in (("local-", "local"), (LEFT_OUT, "leave_one_site_out")):
        if federation.startswith(start):
            return regime, federation.removeprefix(start)
    return federation, "*"


def validation_margins(
    workdirs: Sequence[Path], federation: str, client: str, part: str = "valid"
) -> Margins:
    """From the validation people of all sites, one error a person: its mean over scans and models
    that did not train on that person.

    Args:
      workdirs: of the models. Runs between hospitals have no table of predictions.
      federation: whose models.
      client: whose private leaves are used; then its people alone.
      part: `valid`, or `test` where test people are kept for nothing else.
    """
    regime, pattern = _regime_of(federation)
    values: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for workdir in workdirs:
        for path in sorted(workdir.glob(f"clients/{client or pattern}/predictions.tsv")):
            scans = path.with_name("scans.tsv")
            rows = read_table(scans) if scans.is_file() else []
            person = {row["scan_id"]: row["participant_id"] for row in rows}
            for row in read_table(path):
                if (row["regime"], row["part"]) == (regime, part):
                    pair = parse_number(row["target"]), parse_number(row["prediction"])
                    if pair[0] is not None and pair[1] is not None:
                        name = person.get(row["scan_id"], row["scan_id"])
                        values.setdefault((path.parent.name, name), []).append(pair)  # type: ignore
    means = np.asarray([np.mean(v, axis=0) for v in values.values()]).reshape(-1, 2)
    return margins(means[:, 0], means[:, 1])


def cells(
    each: Float[np.ndarray, "m n"],
    prediction: Float[np.ndarray, " n"],
    target: Float[np.ndarray, " n"],
    told: Margins,
    form: str,
) -> list[list[str]]:
    """The cells of `COLUMNS`, of each scan; n/a where not known.

    Args:
      each: of the models.
      prediction: their weighted mean.
      target: NaN where unknown.
      told: by validation people.
      form: of numbers.
    """
    spread = each.std(axis=0, ddof=1) if len(each) > 1 else np.full(len(prediction), math.nan)
    gap, corrected = prediction - target, told.corrected(prediction) - target
    columns = [
        prediction - told.half_width,
        prediction + told.half_width,
        spread,
        *(gap, gap - told.half_width, gap + told.half_width),
        *(corrected, corrected - told.corrected_half_width, corrected + told.corrected_half_width),
    ]
    return [[number(float(value), form) for value in row] for row in zip(*columns)]


def sentence(told: Margins, unit: str, who: str = "validation people") -> str:
    """What intervals are made of, or why there are none.

    Args:
      told: by validation people.
      unit: of the target.
      who: they are.
    """
    if not math.isfinite(told.half_width):
        return f"Intervals: n/a: {told.people} {who} are known here, and 19 are needed."
    corrected = (
        f"; corrected for age bias +-{told.corrected_half_width:.1f} {unit}"
        if math.isfinite(told.corrected_half_width)
        else "; not corrected for age bias: too few people, or too flat a line"
    )
    return (
        f"Intervals: +-{told.half_width:.1f} {unit}, which holds for {SHARE:.0%} of people like the"
        f" {told.people} {who}, not for other scanners, ages or diseases{corrected}."
    )
