"""The table at the end of a run."""

import math
from collections.abc import Mapping
from typing import Any

HEADER = ("", "n", "MAE", "95 %", "RMSE", "R2", "r", "p", "floor", "gap slope", "corrected")


def number(value: float, form: str = ".2f") -> str:
    """A number, or n/a where it is not defined."""
    return format(value, form) if math.isfinite(value) else "n/a"


def p_value(p: float | None) -> str:
    """Three digits, or <.001."""
    return "" if p is None else "<.001" if p < 0.001 else number(p, ".3f")


def _row(name: str, m: dict[str, Any]) -> list[str]:
    low, high = m.get("mae_95", (None, None))
    gap = m.get("age_gap")
    return [
        name,
        str(m.get("n", "")),
        number(m["mae"]),
        "" if low is None else f"{low:.2f}-{high:.2f}",
        *(number(m[k]) for k in ("rmse", "r2", "r")),
        p_value(m.get("p")),
        number(m["floor_mae"]),
        *(number(gap[k], "+.2f") if gap else "" for k in ("slope", "corrected_slope")),
    ]


def align(rows: list[list[str]]) -> list[str]:
    """Lines of text: the first column to the left, the others to the right."""
    widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(r, widths))
        ).rstrip()
        for r in rows
    ]


def accuracy_rows(named: Mapping[str, dict[str, Any]]) -> list[list[str]]:
    """A header, and a row for every name."""
    return [list(HEADER), *(_row(name, m) for name, m in named.items())]


def render_accuracy(name: str, m: dict[str, Any], unit: str) -> str:
    """One line: MAE with its interval, r and the floor."""
    low, high = m["mae_95"]
    interval = f"(95 % {low:.2f}-{high:.2f})"
    return (
        f"{name}: MAE {m['mae']:.2f} {unit} {interval}, r {m['r']:.2f}; median predictor"
        f" {m['floor_mae']:.2f}"
    )


def _crossed(crossed: dict[str, Any]) -> list[str]:
    """Every model on every site's test scans."""
    if not crossed:
        return []
    sites = list(next(iter(crossed.values())))
    rows = [["MAE of the model", *(f"on {site}" for site in sites)]]
    return align(
        rows
        + [
            [f"  {model}", *(number(m[site]["mae"]) for site in sites)]
            for model, m in crossed.items()
        ]
    )


def render_table(results: dict[str, Any]) -> str:
    """Text for people: every regime, per client, pooled by test scans and macro."""
    unit, kind = (
        results["unit"],
        "SYNTHETIC data: says nothing about real brains. " if results["synthetic"] else "",
    )
    rows: list[list[str]] = [list(HEADER)]
    for regime, r in [*results["regimes"].items(), *results["baselines"].items()]:
        rows.append([regime] + [""] * (len(HEADER) - 1))
        rows += [_row(f"  {client}", m) for client, m in r["clients"].items()]
        rows += [_row("  pooled", r["pooled"]), _row("  macro", r["macro"])]
    lines = [
        (
            f"{kind}Test sets, errors in {unit}; 95 %: bootstrap over subjects; floor: the median"
            " predictor."
        ),
        *align(rows),
    ]
    lines += _crossed(results["crossed"])
    for name, c in results["comparisons"].items():
        low, high = c["mae_difference_95"]
        verdict = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
        lines.append(
            f"MAE {name}: {c['mae_difference']:+.2f} {unit} (95 % {low:+.2f} to {high:+.2f}):"
            f" {verdict}"
        )
    for regime, r in results["regimes"].items():
        over = r["over_repeats"]
        if over["repeats"] > 1:
            lines.append(
                f"{regime}: MAE over {over['repeats']} splits {over['mean']:.2f} (range"
                f" {over['min']:.2f}-{over['max']:.2f})"
            )
    return "\n".join(lines)
