"""The tables of a grid: every row and regime per site, three ways to average sites, beside
published numbers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedbrain.analysis.claims import Seeds
from fedbrain.analysis.results_table import align, number, p_value
from fedbrain.analysis.statistics import accuracy, cluster_means, concatenate, interval

HEADER: tuple[str, ...] = (
    "",
    "images",
    "n test",
    "MAE",
    "95 %",
    "over seeds",
    "r",
    "p",
    "floor",
    "published MAE",
    "r",
)
AVERAGES = {
    "by_images": "mean, by all images",  # as the paper averages
    "by_test_scans": "mean, by test scans",
    "by_sites": "mean, sites alike",
}


def measure(seeds: Seeds, images: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Site or average -> n, MAE with its interval over subjects and its range over seeds, r, p and
    the floor.

    Args:
      seeds: predictions on the test scans of each seed.
      images: of every site, training ones too: the weights of the average as the paper takes it.
    """
    found: dict[str, dict[str, Any]] = {}
    sites = {site: [seed[site] for seed in seeds] for site in seeds[0]}
    for site, parts in sites.items():
        each = [accuracy(p)["mae"] for p in parts]
        found[site] = accuracy(concatenate(parts)) | {
            "images": images[site],
            "seeds": [min(each), max(each)],
        }
    pooled = [concatenate(list(seed.values())) for seed in seeds]
    each = [accuracy(p)["mae"] for p in pooled]
    found["by_test_scans"] = accuracy(concatenate(pooled)) | {"seeds": [min(each), max(each)]}
    for name, weights in (
        ("by_images", [images[s] for s in sites]),
        ("by_sites", [1] * len(sites)),
    ):
        found[name] = _weighted(sites, np.asarray(weights, float) / sum(weights))
    return found


def _weighted(sites: Mapping[str, Any], weights: np.ndarray) -> dict[str, Any]:
    """The mean of the sites' MAEs; sites are drawn independently of each other."""
    together = [concatenate(parts) for parts in sites.values()]
    errors = [np.abs(p.prediction - p.target).astype(np.float64) for p in together]
    replicates = [
        cluster_means(e[:, None], p.subjects, seed=k)[:, 0]
        for k, (e, p) in enumerate(zip(errors, together))
    ]
    each = [
        weights @ [np.abs(parts[k].prediction - parts[k].target).mean() for parts in sites.values()]
        for k in range(len(next(iter(sites.values()))))
    ]
    return {
        "mae": float(weights @ [e.mean() for e in errors]),
        "mae_95": interval(weights @ np.stack(replicates)),
        "floor_mae": float(weights @ [np.abs(p.floor - p.target).mean() for p in together]),
        "seeds": [float(min(each)), float(max(each))],
    }


def _line(name: str, m: Mapping[str, Any], published: Mapping[str, float]) -> list[str]:
    told = [number(published[k]) if k in published else "" for k in ("mae", "r")]
    return [
        f"  {name}",
        *(str(m.get(k, "")) for k in ("images", "n")),
        number(m["mae"]),
        "{:.2f}-{:.2f}".format(*m["mae_95"]),
        "{:.2f}-{:.2f}".format(*m["seeds"]),
        number(m["r"]) if "r" in m else "",
        p_value(m.get("p")),
        number(m["floor_mae"]),
        *told,
    ]


def render(
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]], published: Mapping[str, Any]
) -> str:
    """One row's table.

    Args:
      measured: regime or baseline -> `measure`.
      published: regime -> site or "all" -> {"mae": ..., "r": ...}.
    """
    rows: list[list[str]] = [list(HEADER)]
    for regime, found in measured.items():
        theirs = published.get(regime, {})
        rows.append([regime] + [""] * (len(HEADER) - 1))
        rows += [
            _line(site, m, theirs.get(site, {}))
            for site, m in found.items()
            if site not in AVERAGES
        ]
        rows += [
            _line(AVERAGES[k], found[k], theirs.get("all", {}) if k == "by_images" else {})
            for k in AVERAGES
        ]
    theirs = len(HEADER) - 2  # the published columns, left out where nothing was published
    return "\n".join(align(rows if published else [row[:theirs] for row in rows]))


def render_crossed(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """MAE of every client's own model on every client's test scans."""
    sites = [site for site in next(iter(measured.values())) if site not in AVERAGES]
    rows = [["MAE of the model", *(f"on {site}" for site in sites)]]
    for model, found in measured.items():
        rows.append(
            [
                f"  {model}",
                *(
                    "{} ({:.2f}-{:.2f})".format(number(found[s]["mae"]), *found[s]["mae_95"])
                    for s in sites
                ),
            ]
        )
    return "\n".join(align(rows))
