"""The results of a run between hospitals as text: `report.txt`."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.data_table import render_data
from fedbrain.analysis.groups_table import render_groups
from fedbrain.analysis.privacy_table import privacy_lines
from fedbrain.analysis.results_table import accuracy_rows, crossed_rows
from fedbrain.experiments.site_tables import TITLES, missing_of, named_rows, rounds_of


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
    tables, columns = named_rows(results), columns_of(results)
    for name, rows in tables.items():
        if len(tables) > 1:
            yield f"{TITLES.get(name, name)}:"
        yield from align(accuracy_rows(rows, columns))
    if results.get("crossed"):
        yield from align(crossed_rows(results))


def _missing(results: Mapping[str, Any]) -> Iterator[str]:
    yield from missing_of(results)
    yield from (f"{site}: no test results: {why}" for site, why in results["untold"].items())
    for site, lost in results["absent"].items():
        yield (
            f"WARNING {site} is missing in {lost['rounds']} of {lost['of']} rounds; last reason:"
            f" {lost['reason']}"
        )
