"""Of whom a site has told tables, over all jobs, in a file that stays at the site.

Two histograms of one column whose edges differ tell of the people between the edges, and those of
nearly the same people of the few by whom they differ. So bins are merged until nobody is told of in
a group of few, also with what was told before; a table of which nothing is left is withheld.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fedbrain.data.dataset import Scans
from fedbrain.data.describe import Sums, describe
from fedbrain.experiments.workdir import write_json

Values = Mapping[str, float]  # person -> first known value


class ToldClasses:
    """Tables that were told.

    Args:
      path: of the file.
      fewest: people of a class of whom anything is told.
    """

    def __init__(self, path: Path, fewest: int):
        self.path, self.fewest = path, fewest

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        try:
            return list(json.loads(self.path.read_text(encoding="utf-8"))["tables"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{self.path}: expected the tables that were told, got a damaged file. Restore it"
                " from your backup; without it nobody knows what two tables give."
            ) from None

    def tell(
        self, run: str, scans: Scans, columns: Mapping[str, Sequence[float]], of: Mapping[str, str]
    ) -> dict[str, Sums]:
        """The tables that may be told, recorded before they are; a run's are the same again.

        Args:
          run: name of the run's folder.
          scans: of the site.
          columns: column, or "target" -> edges of its histogram.
          of: column, or "target" -> what the site's own files call it.

        Raises:
          ValueError: when the file is damaged.
        """
        told, tables = {}, self._read()
        for name, edges in columns.items():
            values, source = values_of(scans, name), of.get(name, name)
            before = [table for table in tables if table["column"] == source]
            kept = self._kept(run, scans, {name: edges}, values, before)
            # the outer edges are those of the job, so that the sums of powers are too
            some = describe(scans, {name: kept or edges}, fewest=self.fewest)[name]
            withheld = Sums(0, 0, len(scans), True, (0.0, 0.0, 0.0), some.centre, (), (), 0)
            told[name] = withheld if kept is None else some._replace(merged=_merged(edges, some))
            if kept is not None and some.people:
                table = {"run": run, "column": source, "edges": list(some.edges)}
                table |= {"values": values}
                tables += [] if table in tables else [table]
        write_json(self.path, {"tables": tables})
        return told

    def _kept(
        self,
        run: str,
        scans: Scans,
        column: Mapping[str, Sequence[float]],
        values: Values,
        before: Sequence[Mapping[str, Any]],
    ) -> list[float] | None:
        """The edges that may be told; None: not even how many people there are."""
        [sums] = describe(scans, column, fewest=self.fewest).values()
        [edges] = column.values()
        for table in before:
            if table["run"] == run and table["values"] == values:
                return list(table["edges"])
        kept = list(sums.edges) or [float(edges[0]), float(edges[-1])]
        if not sums.people:
            return kept
        for table in before:
            while not self._apart(values, kept, table):
                inner = kept[1:-1]
                if not inner:
                    return None
                new = [edge for edge in inner if edge not in table["edges"]]
                kept.remove((new or inner)[-1])
        return kept

    def _apart(self, values: Values, edges: Sequence[float], table: Mapping[str, Any]) -> bool:
        """Whether two tables together tell of nobody in a group of few."""
        other: Values = table["values"]
        same = {name for name, value in values.items() if other.get(name) == value}
        if not same:
            return True
        groups = [[values[name] for name in sorted(same)]]
        groups += [[v for name, v in of.items() if name not in same] for of in (values, other)]
        inner = sorted({*edges[1:-1], *table["edges"][1:-1]})
        cells = [np.bincount(np.searchsorted(inner, group, "right")) for group in groups if group]
        return not any(0 < count < self.fewest for counts in cells for count in counts)


def values_of(scans: Scans, name: str) -> dict[str, float]:
    """Person -> first known value of a column.

    Args:
      scans: of a site.
      name: of the column, or "target".
    """
    unknown = np.full(len(scans), np.nan, np.float32)
    column = scans.target if name == "target" else scans.columns.get(name, unknown)
    known = [(subject, float(x)) for subject, x in zip(scans.subjects, column) if np.isfinite(x)]
    return dict(reversed(known))


def _merged(edges: Sequence[float], sums: Sums) -> int:
    return len(edges) - len(sums.edges) if sums.people else 0
