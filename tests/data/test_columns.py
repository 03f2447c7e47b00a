"""Which column a configuration means, and labels as hospitals write them."""

import json
import os

import numpy as np
import pytest

from fedbrain.data.bids import find_scans
from fedbrain.data.columns import read_tables, resolve
from fedbrain.data.labelled import labelled_scans, read_column
from fedbrain.data.labels import similar_id
from fedbrain.data.scan_report import Report
from fedbrain.data.tables import write_table
from tests.tiny import save_volume

IDS = [f"sub-{i:02d}" for i in range(1, 5)]


@pytest.fixture
def root(tmp_path):
    """Four people with ages in participants.tsv and SDMT scores in phenotype/sdmt.tsv."""
    for i, subject in enumerate(IDS):
        save_volume(tmp_path / subject / "anat" / f"{subject}_T1w.nii", np.eye(4)[None] + i)
    write_table(
        tmp_path / "participants.tsv", ["participant_id", "age"], zip(IDS, range(20, 60, 10))
    )
    write_table(
        tmp_path / "phenotype/sdmt.tsv", ["participant_id", "score"], zip(IDS, [50, 51, 52, 53])
    )
    return tmp_path


def _labels(root, label, **more):
    labels, report = labelled_scans(root, "here", label=label, pattern="T1w", pipeline="", **more)
    return list(labels.values()), report


@pytest.mark.parametrize(
    "spec",
    [
        "score",
        "sdmt:score",
        "SDMT:score",
        "phenotype/sdmt:score",
        "phenotype:score",
        "sdmt.tsv:score",
    ],
)
def test_a_column_with_or_without_its_table(root, spec):
    assert _labels(root, spec)[0] == [50, 51, 52, 53]


def test_capitals_are_forgiven_and_told_when_only_one_column_is_meant(root):
    values, report = _labels(root, "participants:AGE")
    assert values == [20, 30, 40, 50]
    assert report.notes["about the label column"] == [
        "'participants:AGE' is read from the column 'age'."
    ]
    header = (root / "participants.tsv").read_text().replace("\tage", "\tage\tAge")
    (root / "participants.tsv").write_text(header)
    assert not _labels(root, "age")[1].notes
    with pytest.raises(ValueError, match="expected one column 'AGE', got age and Age"):
        resolve(read_tables(root), "AGE")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("scor", "expected a column 'scor' in its tables, got: age, participant_id, score. Did you"
         " mean 'score'"),
        ("sdmt:scor", "'scor' in phenotype/sdmt, got: .* Did you mean 'phenotype/sdmt:score'"),
        ("sdmt:age", "'age' in phenotype/sdmt, got: .* Did you mean 'participants:age'"),
        ("sdm:score", "expected a table 'sdm', got: phenotype/sdmt, participants. Did you mean"
         " 'phenotype/sdmt'"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_with_the_nearest_names(root, spec, message):
    with pytest.raises(ValueError, match=message):
        _labels(root, spec)


def test_a_column_whose_name_has_a_colon(root):
    write_table(root / "phenotype/x.tsv", ["participant_id", "edss:total"], zip(IDS, [1, 2, 3, 4]))
    assert _labels(root, "edss:total")[0] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["participants+sessions", "sessions", "demographics"])
def test_other_tables_of_the_root(root, name):
    rows = [(i, "ses-1", 60 + n) for n, i in enumerate(IDS)]
    write_table(root / f"{name}.tsv", ["participant_id", "session_id", "weight"], rows)
    assert _labels(root, "weight")[0] == _labels(root, f"{name}:weight")[0] == [60, 61, 62, 63]


def test_the_same_number_in_other_digits_is_no_contradiction(root):
    for i, subject in enumerate(IDS):
        write_table(
            root / subject / f"{subject}_sessions.tsv",
            ["session_id", "age"],
            [("n/a", ("20.0", "30,0", "NaN", "51")[i])],
        )
        text = (root / subject / f"{subject}_sessions.tsv").read_text().replace("n/a\t", "\t")
        (root / subject / f"{subject}_sessions.tsv").write_text(text)
    values, report = _labels(root, "age")
    assert values == [20, 30, 40]
    assert "sessions says 51; participants says 50" in report.left_out["contradictory labels"][0]
    assert "for instance sessions:age" in report.left_out["contradictory labels"][0]


def test_a_table_of_the_wrong_encoding_is_named(root):
    text = (root / "participants.tsv").read_text()
    (root / "participants.tsv").write_bytes(text.encode("utf-16"))
    with pytest.raises(ValueError, match=r"participants.tsv: expected UTF-8 text, got byte 0xff"):
        _labels(root, "age")
    values, report = _labels(root, "score")
    assert values == [50, 51, 52, 53]
    assert "participants.tsv: expected UTF-8" in report.notes["about the label column"][0]
    assert not _labels(root, "sdmt:score")[1].notes


def test_another_name_for_the_column_of_ids(root):
    text = (root / "participants.tsv").read_text().replace("participant_id", "subject_id")
    (root / "participants.tsv").write_text(text)
    with pytest.raises(ValueError, match=r"participants.tsv: .* got no column participant_id"):
        _labels(root, "age")


@pytest.mark.parametrize("target", ["participants.tsv", "gone.tsv", "."])
def test_a_table_that_is_a_link_to_nothing_is_named(root, target):
    (root / "participants.tsv").unlink()
    (root / "participants.tsv").symlink_to(target)
    with pytest.raises(ValueError, match=r"participants.tsv: the (table cannot|file is a link)"):
        _labels(root, "age")


@pytest.mark.parametrize(
    "name", ["participants.csv", "phenotype/iq.TSV", "Phenotype/iq.tsv", "phenotype/a/iq.xlsx"]
)
def test_tables_that_are_not_read_are_named(root, name):
    write_table(root / name, ["participant_id", "iq"], zip(IDS, IDS))
    with pytest.raises(ValueError, match=f"expected a column 'iq'.*Not read: {name}. Tables are"):
        _labels(root, "iq")


def test_a_path_of_windows_in_a_table_of_scans(root):
    for i, subject in enumerate(IDS):
        path = root / subject / f"{subject}_scans.tsv"
        write_table(path, ["filename", "iq"], [(f"anat\\{subject}_T1w.nii", 100 + i)])
    assert _labels(root, "iq")[0] == [100, 101, 102, 103]


def test_a_number_that_may_stand_for_a_missing_value_is_noted(root):
    path = root / "phenotype/sdmt.tsv"
    path.write_text(path.read_text().replace("51", "-9999"))
    values, report = _labels(root, "score")
    assert values == [50, -9999, 52, 53]
    [note] = report.notes["label that may stand for a missing value"]
    assert "sub-02_T1w.nii: score is -9999." in note


@pytest.mark.parametrize(
    "written", ["sub-1", "1", "Sub-01", "sub_01", "SUB-1", "1.0", "sub-01\u200b"]
)
def test_an_id_that_almost_fits_is_told(root, written):
    text = (root / "participants.tsv").read_text().replace("sub-01", written)
    (root / "participants.tsv").write_text(text)
    values, report = _labels(root, "age")
    assert values == [30, 40, 50]
    assert f"participants.tsv has {written!r}" in report.left_out["no label"][0]


def test_letters_that_are_composed_in_another_way_are_told():
    assert similar_id("sub-e\u0301", {"sub-\u00e9": "sub-\u00e9"}) == "sub-\u00e9"


def test_letters_of_a_score_are_not_sexes(root):
    text = (root / "phenotype/sdmt.tsv").read_text().replace("50", "M").replace("51", "F")
    (root / "phenotype/sdmt.tsv").write_text(text)
    values, report = _labels(root, "score")
    assert values == [52, 53]
    assert "got 'M'" in report.left_out["unreadable label"][0]


def test_a_column_that_the_user_calls_sex(root):
    write_table(root / "phenotype/d.tsv", ["participant_id", "geschlecht"], zip(IDS, "MFmx"))
    scans = list(labelled_scans(root, "", label="age", pattern="T1w", pipeline="")[0])
    report, tables = Report("here"), read_tables(root)
    values = read_column(tables, scans, "sex", "geschlecht", report)
    np.testing.assert_array_equal(values, [1, 0, 1, np.nan])
    assert "got 'x'" in report.notes["unreadable geschlecht"][0]
    assert np.isnan(read_column(tables, scans, "geschlecht", "geschlecht", report)).all()
    values, _ = _labels(root, "geschlecht", sexes={"d:geschlecht"})
    assert values == [1, 0, 1]


def test_labels_of_scans_reach_images_of_a_derivative(root):
    for i, subject in enumerate(IDS):
        derived = root / "derivatives/bet" / subject / "anat" / f"{subject}_desc-brain_T1w.nii.gz"
        save_volume(derived, np.eye(4)[None] + i)
        write_table(
            root / subject / f"{subject}_scans.tsv",
            ["filename", "age_at_scan"],
            [(f"anat/{subject}_T1w.nii.gz", 30 + i), (f"anat/{subject}_T2w.nii.gz", 99)],
        )
    labels, _ = labelled_scans(root, "", label="scans:age_at_scan", pattern="T1w", pipeline="bet")
    assert list(labels.values()) == [30, 31, 32, 33]
    assert _labels(root, "age_at_scan")[0] == [30, 31, 32, 33]  # .nii on disk, .nii.gz in the table


def test_one_broken_table_of_a_subject_costs_one_scan(root):
    for i, subject in enumerate(IDS):
        path = root / subject / f"{subject}_scans.tsv"
        write_table(path, ["filename", "iq"], [(f"anat/{subject}_T1w.nii", 100 + i)])
    (root / "sub-02/sub-02_scans.tsv").write_bytes("filename\tiq".encode("utf-16"))
    values, report = _labels(root, "iq")
    assert values == [100, 102, 103]
    assert "sub-02_scans.tsv: expected UTF-8" in report.left_out["unreadable label"][0]


@pytest.mark.parametrize(("codes", "told"), [("1212", "2"), ("MFMF", ""), ("0101", "")])
def test_numbers_in_a_column_of_sexes_are_told(root, codes, told):
    """Cam-CAN writes 1 and 2: its women would be further from 0 than other sites' men."""
    rows = zip(IDS, (20, 30, 40, 50), codes)
    write_table(root / "participants.tsv", ["participant_id", "age", "gender_code"], rows)
    report = Report("lyon")
    read_column(read_tables(root), find_scans(root), "sex", "gender_code", report)
    notes = report.notes.get("numbers in a column of sexes", [])
    assert len(notes) == bool(told)
    assert all(f"gender_code has {told}, which stays so" in note for note in notes)


def test_descriptions_tell_what_numbers_of_sexes_mean(root):
    rows = list(zip(IDS, (20, 30, 40, 50), "1212"))
    write_table(root / "participants.tsv", ["participant_id", "age", "sex"], rows)
    told = {"sex": {"Levels": {"1": "Male", "2": {"Description": "female"}}}}
    (root / "participants.json").write_text(json.dumps(told), encoding="utf-8-sig")
    report = Report("lyon")
    values = read_column(read_tables(root), find_scans(root), "sex", "sex", report)
    assert values.tolist() == [1, 0, 1, 0]
    assert not report.notes
    assert _labels(root, "sex", classes=("F", "M"))[0] == [1, 0, 1, 0]
    assert _labels(root, "sex")[0] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"sex": {"Levels": "M"}}', '{"sex": {"Levels": {"1": 3}}}']
)
def test_a_description_that_tells_nothing_changes_nothing(root, text):
    rows = list(zip(IDS, (20, 30, 40, 50), "0101"))
    write_table(root / "participants.tsv", ["participant_id", "age", "sex"], rows)
    (root / "participants.json").write_text(text)
    report = Report("lyon")
    values = read_column(read_tables(root), find_scans(root), "sex", "sex", report)
    assert values.tolist() == [0, 1, 0, 1]
    assert "read as female and male" in report.notes["0 and 1 in a column of sexes"][0]


def test_descriptions_tell_what_numbers_of_classes_mean(root):
    """Without them 1 would be the second class."""
    rows = list(zip(IDS, (20, 30, 40, 50), "1212"))
    write_table(root / "participants.tsv", ["participant_id", "age", "group"], rows)
    told = {"group": {"Levels": {"1": "control", "2": "patient"}}}
    (root / "participants.json").write_text(json.dumps(told))
    assert _labels(root, "group", classes=("control", "patient"))[0] == [0, 1, 0, 1]


def test_a_pipe_in_the_place_of_a_table_is_not_waited_for(root):
    (root / "participants.tsv").unlink(missing_ok=True)
    for name in ("participants.tsv", "participants.json"):
        os.mkfifo(root / name)
    with pytest.raises(ValueError, match="participants.tsv: expected a table, got a pipe"):
        _labels(root, "age")


def test_an_id_without_an_image_is_shown_as_it_is_written(root):
    rows = [(subject, 20) for subject in (*IDS, "SUB-01", "77")]
    write_table(root / "participants.tsv", ["participant_id", "age"], rows)
    _, report = _labels(root, "age")
    told = [note.split()[0] for note in report.notes["row without an image"]]
    assert told == ["SUB-01", "sub-77"]
