"""Errors of a site's test people by classes of a column, where its `site.toml` opens them: numbers
beside a row of test results.
"""

from collections.abc import Mapping
from typing import NamedTuple

from fedbrain.analysis.groups import Grouping, by_group
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.site_groups import to_numbers
from fedbrain.data.bands import Bands, classes_of_people
from fedbrain.data.dataset import Scans


class Groupings(NamedTuple):
    """What results of a site are told by."""

    columns: Mapping[str, Grouping]  # by name
    fewest: int  # people in a class of whom anything is told

    def numbers(self, site: str, tests: Predictions) -> dict[str, float]:
        """Errors of classes, as numbers with names.

        Args:
          site: its name.
          tests: predictions of its test scans.
        """
        told: dict[str, float] = {}
        for column, grouping in self.columns.items():
            rows = by_group({site: tests}, grouping, fewest=self.fewest)[site]
            told |= to_numbers(column, grouping.bands, rows)
        return told


def groupings_of(report_by: Mapping[str, Bands], site: str, scans: Scans, fewest: int) -> Groupings:
    """Who is in which class.

    Args:
      report_by: of the job.
      site: its name, part of those of people in predictions.
      scans: of the site.
      fewest: people in a class of whom anything is told.
    """
    columns = {}
    for column, bands in report_by.items():
        people = {f"{site}/{s}": k for s, k in classes_of_people(scans, column, bands).items()}
        columns[column] = Grouping(bands, people)
    return Groupings(columns, fewest)
