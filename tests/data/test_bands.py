"""Classes of people by a column."""

import numpy as np
import pytest

from fedbrain.data.bands import classes, classes_of_people, histogram, require_columns
from fedbrain.data.dataset import Scans


def _scans(**columns):
    people = ("a", "a", "b", "c")
    n = len(people)
    target = np.asarray([10, 70, 55, 99], np.float32)
    arrays = {k: np.asarray(v, np.float32) for k, v in columns.items()}
    return Scans(tuple(map(str, range(n))), people, target, [np.zeros((1, 1, 1, 1))] * n, arrays)


def test_a_person_has_the_class_of_the_first_known_value():
    scans = _scans(sex=[np.nan, 1, 0, np.nan])
    assert classes_of_people(scans, *classes("sex", 0, 1)) == {"a": 1, "b": 0}
    assert classes_of_people(scans, *histogram("target", 20, 80, 3)) == {"a": 0, "b": 1, "c": 2}
    assert classes_of_people(scans, *classes("hand", 0, 1)) == {}


@pytest.mark.parametrize("column", ["sxe", "empty"])
def test_a_column_that_no_site_knows_is_refused(column):
    clients = {"lyon": _scans(sex=[0, 0, 1, 1], empty=[np.nan] * 4), "bern": _scans()}
    require_columns(["target", "sex"], clients)
    with pytest.raises(ValueError, match=f"config.report_by.*got '{column}'; there are: .*sex"):
        require_columns([column], clients)
