"""The tables of a grid: MAE, or accuracy of classes, per regime and site, and averaged over sites,
beside published ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedbrain.analysis.cells import align, number
from fedbrain.analysis.claims import Seeds
from fedbrain.analysis.columns import columns_of_numbers
from fedbrain.analysis.intervals import span
from fedbrain.analysis.measures import measures_of
from fedbrain.analysis.predictions import Predictions, concatenate

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
      Site or average -> n, MAE or accuracy with its interval over people and its range over seeds,
      r and p or AUC, and the floor.
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
    """Accuracy of all seeds together, and the range of the score over seeds."""
    together = [concatenate(seeds) for seeds in sites.values()]
    measures = measures_of(together[0])
    scores = [measures.score(concatenate(of_seed)) for of_seed in zip(*sites.values())]
    return measures.pooled(together) | {"seeds": [min(scores), max(scores)]}


def _weighted(sites: Mapping[str, Sequence[Predictions]], counts: Sequence[int]) -> dict[str, Any]:
    """The mean of the sites' scores."""
    weights = [count / sum(counts) for count in counts]
    together = [concatenate(seeds) for seeds in sites.values()]
    measures = measures_of(together[0])
    scores = [
        float(np.dot(weights, [measures.score(p) for p in of_seed]))
        for of_seed in zip(*sites.values())
    ]
    return measures.weighted(together, weights) | {"seeds": [min(scores), max(scores)]}


def _row(name: str, m: Mapping[str, Any], published: Mapping[str, float]) -> list[str]:
    columns = columns_of_numbers(m)
    return [
        f"  {name}",
        *(str(m.get(k, "")) for k in ("images", "n")),
        number(m[columns.score]),
        span(m[f"{columns.score}_95"]),
        span(m["seeds"]),
        *columns.more_cells(m),
        number(m[f"floor_{columns.score}"]),
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
    columns = columns_of_numbers(next(iter(next(iter(measured.values())).values())))
    ours = ("", "images", "n test", columns.title, "95 %", "over seeds", *columns.more, "floor")
    rows: list[list[str]] = [[*ours, *PUBLISHED]]
    for regime, of_regime in measured.items():
        theirs = published.get(regime, {})
        rows.append([regime] + [""] * (len(rows[0]) - 1))
        for site, m in of_regime.items():
            if site not in AVERAGES:
                rows.append(_row(site, m, theirs.get(site, {})))
        for average, title in AVERAGES.items():
            their_mean = theirs.get("all", {}) if average == "by_images" else {}
            rows.append(_row(title, of_regime[average], their_mean))
    width = len(rows[0]) if published else len(ours)
    return [row[:width] for row in rows]


def render(
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]], published: Mapping[str, Any]
) -> str:
    """`site_rows` as text."""
    return "\n".join(align(site_rows(measured, published)))


def crossed_rows(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[list[str]]:
    """A header, then the score of every client's own model on every client's test scans."""
    first = next(iter(measured.values()))
    sites = [site for site in first if site not in AVERAGES]
    columns = columns_of_numbers(first[sites[0]])

    def cell(m: Mapping[str, Any]) -> str:
        return f"{number(m[columns.score])} ({span(m[f'{columns.score}_95'])})"

    rows = [[f"{columns.title} of the model", *(f"on {site}" for site in sites)]]
    for model, of_model in measured.items():
        rows.append([f"  {model}", *(cell(of_model[site]) for site in sites)])
    return rows


def render_crossed(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """`crossed_rows` as text."""
    return "\n".join(align(crossed_rows(measured)))
