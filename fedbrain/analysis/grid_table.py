"""The tables of a grid: MAE per regime and site, and averaged over sites, beside published ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedbrain.analysis.cells import align, number, p_value
from fedbrain.analysis.claims import Seeds
from fedbrain.analysis.intervals import over_people, span
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.statistics import errors, pooled_accuracy

OURS = ("", "images", "n test", "MAE", "95 %", "over seeds", "r", "p", "floor")
PUBLISHED = ("published MAE", "r")
AVERAGES = {
    "by_images": "mean, by all images",  # the paper's average
    "by_test_scans": "mean, by test scans",
    "by_sites": "mean, sites alike",
}


def measure(seeds: Seeds, images: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Accuracy of one regime.

    Args:
      seeds: predictions on the test scans of each seed.
      images: of every site, training ones too: the weights of the paper's average.

    Returns:
      Site or average -> n, MAE with its interval over subjects and its range over seeds, r, p and
      the floor.
    """
    sites = {site: [seed[site] for seed in seeds] for site in seeds[0]}
    measured = {
        site: _pooled({site: parts}) | {"images": images[site]} for site, parts in sites.items()
    }
    measured["by_test_scans"] = _pooled(sites)
    measured["by_images"] = _weighted(sites, [images[site] for site in sites])
    measured["by_sites"] = _weighted(sites, [1] * len(sites))
    return measured


def _pooled(sites: Mapping[str, Sequence[Predictions]]) -> dict[str, Any]:
    """Accuracy of all seeds together, and the range of MAE over seeds."""
    maes = [float(_mae(concatenate(of_seed))) for of_seed in zip(*sites.values())]
    together = pooled_accuracy([concatenate(seeds) for seeds in sites.values()])
    return together | {"seeds": [min(maes), max(maes)]}


def _mae(p: Predictions) -> Any:
    return np.abs(p.prediction - p.target).mean(dtype=np.float64)


def _weighted(sites: Mapping[str, Sequence[Predictions]], counts: Sequence[int]) -> dict[str, Any]:
    """The mean of the sites' MAEs; subjects are drawn at each site independently."""
    weights = np.asarray(counts, float) / sum(counts)
    together = [concatenate(seeds) for seeds in sites.values()]
    maes = [weights @ [_mae(p) for p in of_seed] for of_seed in zip(*sites.values())]
    return {
        "mae": float(weights @ [_mae(p) for p in together]),
        "mae_95": list(over_people([errors(p) for p in together], weights.tolist())),
        "floor_mae": float(weights @ [np.abs(p.floor - p.target).mean() for p in together]),
        "seeds": [float(min(maes)), float(max(maes))],
    }


def _row(name: str, m: Mapping[str, Any], published: Mapping[str, float]) -> list[str]:
    return [
        f"  {name}",
        *(str(m.get(k, "")) for k in ("images", "n")),
        number(m["mae"]),
        span(m["mae_95"]),
        span(m["seeds"]),
        number(m["r"]) if "r" in m else "",
        p_value(m.get("p")),
        number(m["floor_mae"]),
        *(number(published[k]) if k in published else "" for k in ("mae", "r")),
    ]


def site_rows(
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]], published: Mapping[str, Any]
) -> list[list[str]]:
    """One experiment's table: a header, then every regime and baseline.

    Args:
      measured: regime or baseline -> `measure`.
      published: regime -> site or "all" -> {"mae": ..., "r": ...}.
    """
    rows: list[list[str]] = [[*OURS, *PUBLISHED]]
    for regime, of_regime in measured.items():
        theirs = published.get(regime, {})
        rows.append([regime] + [""] * (len(rows[0]) - 1))
        for site, m in of_regime.items():
            if site not in AVERAGES:
                rows.append(_row(site, m, theirs.get(site, {})))
        for average, title in AVERAGES.items():
            their_mean = theirs.get("all", {}) if average == "by_images" else {}
            rows.append(_row(title, of_regime[average], their_mean))
    columns = len(rows[0]) if published else len(OURS)
    return [row[:columns] for row in rows]


def render(
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]], published: Mapping[str, Any]
) -> str:
    """`site_rows` as text."""
    return "\n".join(align(site_rows(measured, published)))


def crossed_rows(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[list[str]]:
    """A header, then the MAE of every client's own model on every client's test scans."""
    sites = [site for site in next(iter(measured.values())) if site not in AVERAGES]

    def cell(m: Mapping[str, Any]) -> str:
        return f"{number(m['mae'])} ({span(m['mae_95'])})"

    rows = [["MAE of the model", *(f"on {site}" for site in sites)]]
    for model, of_model in measured.items():
        rows.append([f"  {model}", *(cell(of_model[site]) for site in sites)])
    return rows


def render_crossed(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """`crossed_rows` as text."""
    return "\n".join(align(crossed_rows(measured)))
