"""What `fedbrain predict` says of new people, from the table of validation people."""

import numpy as np
import pytest

from fedbrain.analysis.conformal import margins
from fedbrain.data.tables import write_table
from fedbrain.experiments import new_people


@pytest.fixture
def workdir(tmp_path):
    """Two sites of 15 people; each is validated twice federated, once alone at its site."""
    rng = np.random.default_rng(0)
    columns = ["scan_id", "regime", "split", "part", "target", "prediction"]
    for k, site in enumerate(("a", "b")):
        age = rng.uniform(20, 80, 15)
        rows = []
        for i, target in enumerate(age):
            scan = f"sub-{i}_ses-1"
            rows += [
                (scan, "federated", "repeat0-split0", "valid", target, target + i),
                (scan, "federated", "repeat0-split1", "valid", target, target + i + 2),
                (scan, "federated", "repeat0-split1", "test", target, target + 999),
                (scan, "local", "repeat0-split0", "valid", target, target + 100 * (k + 1)),
                (scan, "leave_one_site_out", "repeat0-split0", "valid", target, target - 50 + k),
            ]
        write_table(tmp_path / "clients" / site / "predictions.tsv", columns, rows)
        scans = [(f"sub-{i}_ses-1", f"sub-{i}", "00") for i in range(15)]
        write_table(
            tmp_path / "clients" / site / "scans.tsv", ["scan_id", "participant_id", "image"], scans
        )
    return tmp_path


def test_one_error_a_person_of_the_right_models(workdir):
    told = new_people.validation_margins([workdir], "federated", "")
    assert (told.people, told.half_width) == (30, pytest.approx(15.0, abs=1e-6))
    both = new_people.validation_margins([workdir, workdir], "federated", "")
    assert both.people == 30
    assert new_people.validation_margins([workdir], "federated", "b").people == 15
    alone = new_people.validation_margins([workdir], "local-b", "")
    assert alone.people == 15
    assert np.isnan(alone.half_width)
    left_out = new_people.validation_margins([workdir], "without-a", "")
    assert left_out.people == 15
    assert new_people.validation_margins([workdir / "none"], "federated", "").people == 0


def test_cells_are_the_closed_forms():
    age = np.linspace(20, 80, 25)
    told = margins(age, 10 + 0.8 * age + np.where(np.arange(25) % 2, 1.0, -1.0))
    each = np.asarray([[50.0, 30.0], [54.0, 30.0]])
    prediction, target = np.asarray([52.0, 30.0]), np.asarray([50.0, np.nan])
    first, second = new_people.cells(each, prediction, target, told, ".4f")
    row = dict(zip(new_people.COLUMNS, map(float, first)))
    corrected = (52 - told.intercept) / told.slope - 50
    assert row == {
        "low_95": pytest.approx(52 - told.half_width, abs=1e-4),
        "high_95": pytest.approx(52 + told.half_width, abs=1e-4),
        "models_sd": pytest.approx(np.sqrt(8), abs=1e-4),
        "gap": 2.0,
        "gap_low_95": pytest.approx(2 - told.half_width, abs=1e-4),
        "gap_high_95": pytest.approx(2 + told.half_width, abs=1e-4),
        "corrected_gap": pytest.approx(corrected, abs=1e-4),
        "corrected_gap_low_95": pytest.approx(corrected - told.corrected_half_width, abs=1e-4),
        "corrected_gap_high_95": pytest.approx(corrected + told.corrected_half_width, abs=1e-4),
    }
    assert second[2] == "0.0000"
    assert second[3:] == ["n/a"] * 6
    one = new_people.cells(each[:1], prediction, target, told, ".1f")
    assert one[0][2] == "n/a"


def test_the_sentence_says_what_intervals_are_of(workdir):
    told = new_people.validation_margins([workdir], "federated", "")
    assert "30 validation people" in new_people.sentence(told, "years")
    none = new_people.validation_margins([workdir], "local-b", "")
    assert "15 validation people are known here, and 19 are needed" in new_people.sentence(none, "")
