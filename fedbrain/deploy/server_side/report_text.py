"""The results of a run between hospitals as text: `report.txt`."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.data_table import render_data
from fedbrain.analysis.groups_table import render_groups
from fedbrain.analysis.measures import macro
from fedbrain.analysis.privacy_table import privacy_lines
from fedbrain.analysis.results_table import accuracy_rows, crossed_rows
from fedbrain.experiments.site_tables import pooled_of, rounds_of, rows_of_sites

TITLES = {"federated": "Together", "local": "Each site alone"}  # of tables; others have their name


def render(results: Mapping[str, Any]) -> str:
    """The results as a table of text.

    Args:
      results: what `results.json` holds.
    """
    kind = "SYNTHETIC data: says nothing about real brains. " if results["synthetic"] else ""
    legend = columns_of(results).legend.format(unit=results["unit"])
    data = results.get("data", {})
    lines = [f"{kind}Test sets, {legend}", *_tables(results)]
    lines += render_groups(results.get("groups", {}), columns_of(results))
    lines += privacy_lines(results)
    text = "\n".join([*lines, *_missing(results), *rounds_of(results)])
    return f"{render_data(data)}\n{text}" if data else text


def _tables(results: Mapping[str, Any]) -> Iterator[str]:
    tables, columns = rows_of_sites(results), columns_of(results)
    for name, rows in tables.items():
        over_all = {"pooled": row} if (row := pooled_of(results, name)) else {}
        if len(tables) > 1:
            yield f"{TITLES.get(name, name)}:"
        yield from align(accuracy_rows({**rows, **over_all, "macro": macro(rows)}, columns))
    if results.get("crossed"):
        yield from align(crossed_rows(results))


def _missing(results: Mapping[str, Any]) -> Iterator[str]:
    for title, floor in results.get("baselines", {}).items():
        yield from (f"{title}: fitted without {s}: {why}" for s, why in floor["without"].items())
        yield from (f"{title}: {s}: no test results: {w}" for s, w in floor["untold"].items())
    for site, why in results.get("undescribed", {}).items():
        yield f"{site}: no tables of its cohort: {why}"
    yield from (f"{site}: no test results: {why}" for site, why in results["untold"].items())
    for site, lost in results["absent"].items():
        yield (
            f"WARNING {site} is missing in {lost['rounds']} of {lost['of']} rounds; last reason:"
            f" {lost['reason']}"
        )
