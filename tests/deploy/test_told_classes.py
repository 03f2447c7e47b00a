"""Tables of one cohort with other edges, or of nearly the same people, tell together of nobody in a
group of few: the attacker subtracts what a site told in several jobs.
"""

import numpy as np
import pytest

from fedbrain.data.dataset import Scans
from fedbrain.data.describe import describe
from fedbrain.deploy.site_side.told_classes import ToldClasses

OF = {"target": "age", "years": "age", "sex": "sex"}
EDGES = (0.0, 25.0, 50.0, 75.0, 100.0)


def _scans(ages, first=0):
    names = tuple(f"sub-{k + first:03d}" for k in range(len(ages)))
    values = np.asarray(ages, np.float32)
    return Scans(names, names, values, [np.zeros(1)] * len(names), {"years": values})


def _below(sums):
    """Edge -> people below it, as a reader of the table knows."""
    return dict(zip(sums.edges[1:], np.cumsum(sums.counts)))


def _smallest(*tables):
    """The smallest group that follows from tables of the same people."""
    below = {edge: count for table in tables for edge, count in _below(table).items()}
    groups = np.diff([0, *(below[edge] for edge in sorted(below))])
    return min(group for group in groups if group)


@pytest.fixture
def told(tmp_path):
    return ToldClasses(tmp_path / "tables_told.json", 5)


def test_the_first_table_is_the_one_of_a_simulation(told):
    scans = _scans(np.linspace(2, 98, 49))
    assert told.tell("a", scans, {"target": EDGES}, OF) == describe(scans, {"target": EDGES})


@pytest.mark.parametrize("name", ["target", "years"])
def test_edges_that_differ_by_one_person_tell_nobody(told, name):
    """Alone each table is harmless; the two counts below 25 and 27 differ by one person."""
    scans = _scans(np.linspace(2, 98, 49))
    other = (0.0, 27.0, 50.0, 75.0, 100.0)
    before = told.tell("a", scans, {"target": EDGES}, OF)["target"]
    alone = describe(scans, {name: other})[name]
    assert _smallest(before, alone) == 1
    told_now = told.tell("b", scans, {name: other}, OF)[name]
    assert told_now.people == 49
    assert 27.0 not in told_now.edges
    assert _smallest(before, told_now) >= 5
    assert told_now.powers == alone.powers
    assert told.tell("b", scans, {name: other}, OF)[name] == told_now


@pytest.mark.parametrize(("more", "withheld"), [(1, True), (4, True), (5, False)])
def test_a_few_more_people_are_not_told_of(told, more, withheld):
    """The sum of ages of 50 people less that of 49 is the age of one."""
    ages = [*np.linspace(2, 98, 49), *([60.0] * more)]
    told.tell("a", _scans(ages[:49]), {"target": EDGES}, OF)
    now = told.tell("b", _scans(ages), {"target": EDGES}, OF)["target"]
    assert now.withheld == withheld
    assert now.people == (0 if withheld else 49 + more)


def test_other_people_and_other_columns_are_told_of_alone(told):
    told.tell("a", _scans(np.linspace(2, 98, 49)), {"target": EDGES}, OF)
    others = _scans(np.linspace(3, 97, 30), first=500)
    assert told.tell("b", others, {"target": EDGES}, OF) == describe(others, {"target": EDGES})
    of = {**OF, "target": "sdmt"}
    same = _scans(np.linspace(2, 98, 49))
    odd = (0.0, 27.0, 100.0)
    assert told.tell("c", same, {"target": odd}, of) == describe(same, {"target": odd})


def test_a_damaged_file_is_an_error(told):
    told.path.write_text("{")
    with pytest.raises(ValueError, match=r"tables_told.json: expected the tables that were told"):
        told.tell("a", _scans([50.0] * 9), {"target": EDGES}, OF)
