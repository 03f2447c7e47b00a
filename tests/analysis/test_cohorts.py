"""Who holds what: the counts of the figure, and its text alternative."""

from dataclasses import replace

import numpy as np

from fedbrain.analysis import cohorts
from fedbrain.analysis.html_page import Picture, Section, Table, render_page
from fedbrain.data.partition import by_target
from fedbrain.experiments.report_experiment import _cohorts
from fedbrain.experiments.run_files import write_cohorts
from tests.analysis.test_html_page import Checked
from tests.data.test_splits_and_partition import _scans


def test_people_are_counted_once_in_bands_that_all_clients_share():
    clients = by_target(clients=3, overlap=0.0)({"all": _scans(80, sessions=2)})
    counted = cohorts.count(clients, ())
    assert len(counted.classes) == cohorts.BARS
    total = np.array(list(counted.people.values()))
    assert total.sum() == 80
    assert total.sum(0).tolist() == [10] * 8  # ages are spread evenly
    assert list(counted.scans.values()) == [54, 54, 52]
    assert (np.diff(np.argmax(total, axis=1)) > 0).all()
    header, *rows = cohorts.rows_of(counted)
    assert header[:4] == ["client", "scans", "people", "20 to 27.5"]
    assert rows[0][:3] == ["hospital1", "54", "27"]


def test_classes_are_counted_by_their_names():
    scans = replace(_scans(5), target=np.array([0, 1, 1, np.nan, 1], np.float32))
    counted = cohorts.count({"bern": scans}, ("F", "M"))
    assert counted == cohorts.Cohorts(["F", "M"], {"bern": [1, 3]}, {"bern": 5})


def test_the_picture_of_a_run_has_its_numbers_in_the_page(tmp_path):
    clients = by_target(clients=3)({"all": _scans(60)})
    write_cohorts(tmp_path, clients, unit="years", classes=(), synthetic=True)
    picture, table = _cohorts(tmp_path)
    assert isinstance(picture, Picture)
    assert "People of every client" in picture.alt
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["client", "hospital1", "hospital2", "hospital3"]
    assert sum(int(row[2]) for row in table.rows[1:]) == 60
    Checked(render_page("a", "", [Section("Who holds what", [picture, table])]))
    assert list(_cohorts(tmp_path / "between-hospitals")) == []
