"""The table of a run with the errors of groups of people below it, and their privacy."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import Columns, columns_of
from fedbrain.analysis.intervals import span
from fedbrain.analysis.privacy_table import privacy_lines
from fedbrain.analysis.results_table import render_table
from fedbrain.data.small_counts import FEWEST
from fedbrain.data.words import class_words


def _row(site: str, column: str, m: Mapping[str, Any], columns: Columns) -> list[str]:
    group = class_words(column, m["low"], m["high"])
    return [f"  {site}, {group}", *columns.group_cells(m)]


def group_rows(
    column: str, regimes: Mapping[str, Mapping[str, Any]], columns: Columns
) -> list[list[str]]:
    """A header, then the errors of every group of every site.

    Args:
      column: by which people are grouped.
      regimes: regime -> `by_group`.
      columns: that fit the results.
    """
    header = columns.group_header
    rows = [[f"{columns.title} by {column}", *header]]
    for regime, sites in regimes.items():
        rows.append([regime] + [""] * len(header))
        rows += [
            _row(site, column, m, columns) for site, measured in sites.items() for m in measured
        ]
    return rows


def group_notes(regimes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Whose groups are not told, and how many intervals miss by chance.

    Args:
      regimes: regime -> `by_group`.
    """
    each = [(site, measured) for sites in regimes.values() for site, measured in sites.items()]
    untold = dict.fromkeys(site for site, measured in each if not measured)
    if untold:
        yield (
            f"not told of {', '.join(untold)}: two classes need {FEWEST} test people each,"
            f" and 1 to {FEWEST - 1} people without a value would be told by subtraction"
        )
    told = [m for _, measured in each for m in measured]
    ends = [span(m[key]) for m in told for key in m if key.endswith("_95")]
    count = sum(text != "n/a" for text in ends)
    if count > 1:
        yield f"of {count} intervals, about {count / 20:.1g} would miss by chance"


def render_groups(groups: Mapping[str, Any], columns: Columns) -> list[str]:
    """Lines of text: a block for each column.

    Args:
      groups: column -> regime -> `by_group`.
      columns: that fit the results.
    """
    lines = []
    for column, regimes in groups.items():
        lines += align(group_rows(column, regimes, columns))
        lines += [f"  {note}" for note in group_notes(regimes)]
    return lines


def render_results(results: dict[str, Any]) -> str:
    """What a run prints at its end.

    Args:
      results: what `results.json` holds.
    """
    groups = render_groups(results.get("groups", {}), columns_of(results))
    return "\n".join([render_table(results), *groups, *privacy_lines(results)])
