"""The BIDS reader on trees made here; real trees are in test_real_data."""

import json

import pytest

from fedbrain.data.bids import find_scans, one_per_session, sidecar
from fedbrain.data.sites import labelled_scans


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_entities_sessions_extensions_and_derivatives(tmp_path):
    _touch(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_acq-mprage_run-2_T1w.nii",
        "sub-02/ses-b/func/sub-02_ses-b_T1w.nii",
        "derivatives/prep/sub-01/anat/sub-01_space-MNI_desc-preproc_T1w.nii.gz",
        "derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
    )
    scans = find_scans(tmp_path)
    assert [(s.id, dict(s.entities)) for s in scans] == [
        ("sub-01", {}),
        ("sub-02_ses-b", {"acq": "mprage", "run": "2"}),
    ]
    assert [s.path.name for s in find_scans(tmp_path, "space-MNI_T1w", pipeline="prep")] == [
        "sub-01_space-MNI_desc-preproc_T1w.nii.gz"
    ]


def test_one_image_per_session_and_the_others_are_told(tmp_path):
    _touch(
        tmp_path,
        *(f"sub-01/anat/sub-01_{x}T1w.nii.gz" for x in ("run-2_", "run-1_", "rec-scic_run-1_")),
    )
    _touch(tmp_path, "sub-02/anat/sub-02_T1w.nii.gz", "sub-02/anat/sub-02_run-1_T1w.nii.gz")
    chosen, others = one_per_session(find_scans(tmp_path))
    assert [s.path.name for s in chosen] == ["sub-01_run-1_T1w.nii.gz", "sub-02_T1w.nii.gz"]
    assert len(others) == 3


def test_json_inheritance(tmp_path):
    _touch(tmp_path, "sub-01/anat/sub-01_acq-x_T1w.nii.gz")
    (tmp_path / "T1w.json").write_text('{"EchoTime": 1, "Manufacturer": "A"}')
    (tmp_path / "acq-y_T1w.json").write_text('{"EchoTime": 9}')
    (tmp_path / "sub-01/anat/sub-01_acq-x_T1w.json").write_text('{"EchoTime": 2}')
    assert sidecar(find_scans(tmp_path)[0], tmp_path) == {"EchoTime": 2, "Manufacturer": "A"}
    (tmp_path / "T1w.json").write_text("{")
    with pytest.raises(ValueError, match=r"T1w.json: expected JSON"):
        sidecar(find_scans(tmp_path)[0], tmp_path)


def test_not_a_bids_tree(tmp_path):
    with pytest.raises(ValueError, match="Is this the root of a BIDS tree"):
        find_scans(tmp_path)
    with pytest.raises(ValueError, match="got nothing there"):
        find_scans(tmp_path / "missing")


def test_a_column_that_is_in_no_table_is_one_sentence(tree):
    with pytest.raises(
        ValueError, match="expected a column 'Age' in its tables, got: age, participant_id"
    ):
        labelled_scans(tree, "here", label="Age", pattern="T1w", pipeline="")
    labels, _ = labelled_scans(
        tree, "here", label="Age", pattern="T1w", pipeline="", keep_unlabelled=True
    )
    assert list(labels.values()) == [None] * 12


def test_prediction_tells_labels_that_it_cannot_use(tree):
    text = (tree / "participants.tsv").read_text().replace("sub-03\t35.0", "sub-03\tforty")
    (tree / "participants.tsv").write_text(text)
    labels, report = labelled_scans(
        tree, "here", label="age", pattern="T1w", pipeline="", keep_unlabelled=True
    )
    assert len(labels) == 12
    assert "forty" in report.notes["unreadable label"][0]


def test_every_scan_is_accounted_for(tree):
    """No row, no image, an unreadable label, a second run: each has its reason, and the counts add
    up.
    """
    _touch(tree, "sub-90/anat/sub-90_T1w.nii.gz", "sub-00/anat/sub-00_run-2_T1w.nii.gz")
    with (tree / "participants.tsv").open("a") as file:
        file.write("sub-91\t50\n")
    text = (tree / "participants.tsv").read_text().replace("sub-03\t35.0", "sub-03\tforty")
    (tree / "participants.tsv").write_text(text)
    labels, report = labelled_scans(tree, "here", label="age", pattern="T1w", pipeline="")
    assert report.found == 14
    assert len(labels) == 11
    assert {k: len(v) for k, v in report.left_out.items()} == {
        "another image of the same session was chosen": 1,
        "no label": 1,
        "unreadable label": 1,
    }
    assert report.notes["row without an image"] == [
        "sub-91 is in participants.tsv and has no T1w image."
    ]
    json.dumps(report.as_dict())
    assert "sub-03" in str(report)
