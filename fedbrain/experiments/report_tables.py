"""The tables of results in a report, of a simulation and of a run between hospitals."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedbrain.analysis import groups_table, privacy_table, results_table
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.html_page import Block, Items, Table
from fedbrain.experiments.site_tables import TITLES, named_rows, rounds_of


def tables(results: Mapping[str, Any]) -> Iterator[Block]:
    """All that the printed table has.

    Args:
      results: what `results.json` holds.
    """
    legend = columns_of(results).legend.format(unit=results["unit"])
    yield (
        f"On test sets; {legend} pooled: all test scans together; macro: the mean over sites, each"
        " alike; n/a: not defined, or too few people."
    )
    if rows := privacy_table.privacy_rows(results):
        yield Table(f"Differential privacy, {privacy_table.COVERED}", rows)
    yield from _of_simulation(results) if "regimes" in results else _of_hospitals(results)
    yield from _groups(results)


def _of_simulation(results: Mapping[str, Any]) -> Iterator[Block]:
    yield Table("Accuracy", _without_means(results_table.regime_rows(results), results))
    yield from _crossed(results)
    if results.get("classes"):
        yield Table(
            "Confusion: scans of each true class, by the class they are put into; 95 %: of the"
            " share",
            results_table.confusion_rows(results),
        )
    else:
        yield from _gaps(results)


def _without_means(rows: list[list[str]], results: Mapping[str, Any]) -> list[list[str]]:
    """Of one site all means are its own row."""
    first = next(iter(results["regimes"].values()), {"clients": {}})
    one = len(first["clients"]) == 1
    return [row for row in rows if not (one and row[0].strip() in ("pooled", "macro"))]


def _of_hospitals(results: Mapping[str, Any]) -> Iterator[Block]:
    columns = columns_of(results)
    for name, rows in named_rows(results).items():
        yield Table(
            f"Accuracy: {TITLES.get(name, name)}", results_table.accuracy_rows(rows, columns)
        )
    yield from _crossed(results)
    yield from rounds_of(results)


def _crossed(results: Mapping[str, Any]) -> Iterator[Block]:
    if results.get("crossed"):
        rows = results_table.crossed_rows(results)
        yield Table("Models of one client on the test scans of others", rows)


def _gaps(results: Mapping[str, Any]) -> Iterator[Block]:
    rows = _without_means(results_table.gap_rows(results["regimes"]), results)
    yield Table("Age gap: prediction minus target; to fit: validation people", rows)
    if any("n/a" in cell for row in rows for cell in row):
        yield results_table.NOT_CORRECTED + "."


def _groups(results: Mapping[str, Any]) -> Iterator[Block]:
    columns = columns_of(results)
    for column, regimes in (results.get("groups") or {}).items():
        header, *rows = groups_table.group_rows(column, regimes, columns)
        if any(any(cells) for _, *cells in rows):
            yield Table(f"Groups of people: {column}", [["", *header[1:]], *rows])
        if notes := list(groups_table.group_notes(regimes)):
            yield Items(notes)
