"""The columns of tables of results: of predicted numbers, and of predicted classes."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fedbrain.analysis.cells import number, p_value
from fedbrain.analysis.intervals import UNDEFINED, span

Measured = Mapping[str, Any]  # the numbers of a site, of all sites or of a group, as results have


class Columns(NamedTuple):
    """How one kind of results is told."""

    score: str  # the number that models are compared by, as results name it
    title: str  # and as tables do
    sign: int  # of a difference in which the first is better
    legend: str  # a line above tables, with {unit}
    header: tuple[str, ...]  # of clients
    cells: Callable[[Measured], list[str]]
    group_header: tuple[str, ...]  # of groups of people
    group_cells: Callable[[Measured], list[str]]
    more: tuple[str, ...]  # of grids, beside the score
    more_cells: Callable[[Measured], list[str]]
    sentence: Callable[[Measured, str], str]  # (numbers, unit) -> one line
    claims: tuple[str, str]  # what is said of a first method that is better, and worse

    def unit(self, results: Mapping[str, Any]) -> str:
        """Of differences, with a blank before it; empty for shares."""
        return f" {results['unit']}" if "{unit}" in self.legend else ""


def _number_cells(m: Measured) -> list[str]:
    return [
        str(m.get("n", "")),
        number(m["mae"]),
        span(m.get("mae_95", UNDEFINED)),
        *(number(m[k]) for k in ("rmse", "r2", "r")),
        span(m["r_95"]) if "r_95" in m else "",
        p_value(m.get("p")),
        number(m["floor_mae"]),
    ]


def _number_sentence(m: Measured, unit: str) -> str:
    floor = f"median predictor {m['floor_mae']:.2f}"
    return f"MAE {m['mae']:.2f} {unit} (95 % {span(m['mae_95'])}), r {number(m['r'])}; {floor}"


def _class_sentence(m: Measured, unit: str) -> str:
    del unit  # shares have none
    told = [
        f"{title} {number(m[k])} (95 % {span(m[f'{k}_95'])})"
        for k, title in (("accuracy", "accuracy"), ("auc", "AUC"))
    ]
    return f"{', '.join(told)}; accuracy of the largest class {number(m['floor_accuracy'])}"


def _class_cells(m: Measured) -> list[str]:
    shares = ("accuracy", "balanced_accuracy", "auc")
    told = [cell for k in shares for cell in (number(m[k]), span(m[f"{k}_95"]))]
    return [str(m.get("n", "")), *told, number(m["floor_accuracy"])]


def _group_cells(*names: str, floor: str) -> Callable[[Measured], list[str]]:
    def cells(m: Measured) -> list[str]:
        told = [cell for k in names for cell in (number(m[k]), span(m[f"{k}_95"]))]
        return [str(m["subjects"]), str(m["n"]), *told, number(m[floor])]

    return cells


NUMBERS = Columns(
    score="mae",
    title="MAE",
    sign=-1,
    legend="errors in {unit}; 95 %: over people; floor: the median predictor.",
    header=("", "n", "MAE", "95 %", "RMSE", "R2", "r", "95 % of r", "p", "floor"),
    cells=_number_cells,
    group_header=("people", "n", "MAE", "95 %", "floor"),
    group_cells=_group_cells("mae", floor="floor_mae"),
    more=("r", "p"),
    more_cells=lambda m: [number(m["r"]) if "r" in m else "", p_value(m.get("p"))],
    sentence=_number_sentence,
    claims=("has a smaller error than", "has a larger error than"),
)
CLASSES = Columns(
    score="accuracy",
    title="accuracy",
    sign=1,
    legend="shares of scans; 95 %: over people; floor: accuracy of the largest class in training;"
    " that of the AUC is 0.5.",
    header=("", "n", "accuracy", "95 %", "balanced", "95 %", "AUC", "95 %", "floor"),
    cells=_class_cells,
    group_header=("people", "n", "accuracy", "95 %", "AUC", "95 %", "floor"),
    group_cells=_group_cells("accuracy", "auc", floor="floor_accuracy"),
    more=("AUC", "95 %"),
    more_cells=lambda m: [number(m["auc"]), span(m["auc_95"])] if "auc" in m else ["", ""],
    sentence=_class_sentence,
    claims=("is right more often than", "is right less often than"),
)


def columns_of(results: Mapping[str, Any]) -> Columns:
    """Those that fit what was predicted.

    Args:
      results: what `results.json` holds.
    """
    return CLASSES if results.get("classes") else NUMBERS


def columns_of_numbers(measured: Measured) -> Columns:
    """Those that fit the numbers of a site.

    Args:
      measured: as results have them.
    """
    return CLASSES if CLASSES.score in measured else NUMBERS
