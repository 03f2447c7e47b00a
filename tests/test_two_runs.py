"""Two experiments in pairs, on numbers whose answer is known."""

import numpy as np
import pytest

from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.stored_predictions import write_tests
from tests.programs import function_of


@pytest.fixture
def beside():
    with function_of("benchmarks.two_runs", "beside") as function:
        yield function


def _write(workdir, people_of, error):
    sites = {}
    for site, people in people_of.items():
        age = np.asarray([20.0 + k for k in people], np.float32)
        names = [f"{site}/sub-{k:02d}" for k in people]
        floor = np.full(len(age), 40, np.float32)
        sites[site] = {"test": Predictions(names, age, age + np.float32(error), floor)}
    write_tests(workdir, {0: {"federated": sites}})


def test_people_are_paired_by_name_wherever_they_lie(beside, tmp_path):
    _write(tmp_path / "a", {"x": range(20), "y": range(20, 40)}, error=3.0)
    _write(tmp_path / "b", {"z": range(39, -1, -1)}, error=1.0)
    lines = beside(tmp_path / "a", tmp_path / "b", ("federated", "federated")).splitlines()
    assert "3.00" in lines[0]
    assert "1.00" in lines[1]
    assert lines[2].startswith("MAE first - second: +2.00 years")


def test_other_people_or_regimes_are_refused(beside, tmp_path):
    _write(tmp_path / "a", {"x": range(20)}, error=3.0)
    _write(tmp_path / "b", {"x": range(21)}, error=3.0)
    with pytest.raises(ValueError, match="but for sub-20"):
        beside(tmp_path / "a", tmp_path / "b", ("federated", "federated"))
    with pytest.raises(ValueError, match=r"expected one of \['federated'\], got 'local'"):
        beside(tmp_path / "a", tmp_path / "b", ("federated", "local"))
