"""The linear floor in the folds of an experiment, on numbers whose answer is known."""

import numpy as np
import pytest

from fedbrain.data.tables import write_table
from tests.programs import function_of


@pytest.fixture
def beside():
    with function_of("benchmarks.region_floor", "beside") as function:
        yield function


def _write(workdir, names, age, error):
    columns = ["scan_id", "regime", "split", "part", "target", "prediction"]
    rows = [
        (name, "centralised", f"repeat{k % 5}-split0", "test", a, a + error)
        for k, (name, a) in enumerate(zip(names, age))
    ]
    rows += [(name, "centralised", "repeat0-split0", "valid", 0, 999) for name in names]
    write_table(workdir / "clients/hh/predictions.tsv", columns, rows)


def test_the_difference_in_the_same_folds(beside, tmp_path):
    """Ages are linear in the volumes, so ridge is nearly right and the model's error remains."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    age = 50 + x @ [8.0, -4.0, 2.0]
    names = [f"sub-{k:02d}" for k in range(60)]
    _write(tmp_path, names, age, error=3.0)
    lines = beside(tmp_path, "centralised", names, x, age).splitlines()
    assert "3.00" in lines[0]
    assert float(lines[2].split(": ")[1].split()[0]) == pytest.approx(3.0, abs=0.3)
    with pytest.raises(ValueError, match="got no sub-60"):
        beside(tmp_path, "centralised", [*names, "sub-60"], x, age)
