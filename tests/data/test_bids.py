"""The BIDS reader on trees made here; real trees are in test_real_data."""

import json
import os

import pytest

from fedbrain.data.bids import find_scans, list_images, sidecar
from fedbrain.data.choice import one_per_session, select
from fedbrain.data.labelled import labelled_scans


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
        ValueError, match="expected a column 'iq' in its tables, got: age, participant_id"
    ):
        labelled_scans(tree, "here", label="iq", pattern="T1w", pipeline="")
    labels, _ = labelled_scans(
        tree, "here", label="iq", pattern="T1w", pipeline="", keep_unlabelled=True
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


CHOICES = {  # files of a session -> the one that is used
    "contrast agent": (["ce-gadolinium_T1w", "run-1_T1w"], "run-1_T1w"),
    "contrast agent and more entities": (["ce-gad_T1w", "acq-a_run-1_T1w"], "acq-a_run-1_T1w"),
    "numbers of runs": (["run-10_T1w", "run-2_T1w"], "run-2_T1w"),
    "padded numbers": (["run-10_T1w", "run-02_T1w"], "run-02_T1w"),
    "phase": (["part-phase_T1w", "acq-a_part-mag_T1w"], "acq-a_part-mag_T1w"),
    "only one with contrast agent": (["ce-gad_run-2_T1w", "ce-gad_run-1_T1w"], "ce-gad_run-1_T1w"),
}


@pytest.mark.parametrize(("names", "expected"), CHOICES.values(), ids=CHOICES)
def test_the_native_image_of_the_first_run_is_used(tmp_path, names, expected):
    _touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in names))
    [chosen], others = one_per_session(find_scans(tmp_path))
    assert chosen.path.name == f"sub-01_{expected}.nii.gz"
    assert len(others) == len(names) - 1


def test_a_name_that_is_not_utf8_is_left_out_in_a_sentence_that_can_be_printed(tree):
    folder = os.fsencode(tree / "sub-00/anat")
    os.rename(folder + b"/sub-00_T1w.nii.gz", folder + b"/sub-00_acq-\xe4_T1w.nii.gz")
    _, report = labelled_scans(tree, "here", label="age", pattern="T1w", pipeline="")
    [sentence] = report.left_out["name that is not UTF-8"]
    assert "sub-00_acq-\\xe4_T1w.nii.gz: expected a name in UTF-8" in sentence
    str(report).encode()


def test_formats_that_are_not_read_are_counted_and_named(tree):
    _touch(
        tree,
        "sub-20/anat/sub-20_T1w.img",
        "sub-20/anat/sub-20_T1w.hdr",
        "sub-21/anat/sub-21_T1w.mgz",
        "sub-22/anat/sub-22_T1w.nii.bz2",
        "sub-23/anat/sub-23_T1w.NII.GZ",
        "sub-24/anat/sub-24_acq-0.8mm_T1w.nii.gz",
        "sub-24/anat/._sub-24_T1w.nii.gz",
        "sub-24/anat/sub-24_T1w.nii.gz.lock",
        "sub-24/anat/sub-24_T1w.json",
    )
    with (tree / "participants.tsv").open("a") as file:
        file.write("".join(f"sub-{i}\t50\n" for i in range(20, 25)))
    labels, report = labelled_scans(tree, "here", label="age", pattern="T1w", pipeline="")
    assert report.found == 12 + 5
    assert {s.path.name for s in labels} >= {
        "sub-23_T1w.NII.GZ",
        "sub-24_acq-0.8mm_T1w.nii.gz",
    }
    sentences = report.left_out["format that is not read"]
    assert [s.split(":")[0].rpartition("/")[2] for s in sentences] == [
        "sub-20_T1w.img",
        "sub-21_T1w.mgz",
        "sub-22_T1w.nii.bz2",
    ]
    assert not report.notes


def close(monkeypatch, folder):
    """Takes away the permission to list a folder; the tests may run as root."""
    listdir = os.listdir

    def refuse(path="."):
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)


@pytest.mark.parametrize("closed", ["sub-03", "sub-03/anat"])
def test_a_folder_without_permission_costs_one_subject(tree, monkeypatch, closed):
    close(monkeypatch, tree / closed)
    labels, report = labelled_scans(tree, "here", label="age", pattern="T1w", pipeline="")
    assert (report.found, len(labels)) == (12, 11)
    [sentence] = report.left_out["folder that cannot be opened"]
    assert sentence == f"{tree / closed}: no permission."
    assert not report.notes


def test_a_root_without_permission_is_named(tree, monkeypatch):
    close(monkeypatch, tree)
    with pytest.raises(ValueError, match=f"{tree}: the folder cannot be opened: no permission"):
        list_images(tree)


def test_subjects_and_sessions_by_name(tmp_path):
    _touch(
        tmp_path,
        *(f"sub-{s}/ses-{v}/anat/sub-{s}_ses-{v}_T1w.nii" for s in ("01", "02") for v in "ab"),
        "sub-03/anat/sub-03_T1w.nii",
    )
    scans = find_scans(tmp_path)

    def ids(include=(), exclude=()):
        return [s.id for s in select(scans, include, exclude)[0]]

    assert ids() == [s.id for s in scans]
    assert ids(include="sub-03") == ids(include=("03",)) == ["sub-03"]
    assert ids(include=["ses-a", "sub-03"]) == ["sub-01_ses-a", "sub-02_ses-a", "sub-03"]
    assert ids(exclude=("sub-01_ses-a", "02")) == ["sub-01_ses-b", "sub-03"]
    assert ids(include="sub-01", exclude="ses-b") == ["sub-01_ses-a"]
    with pytest.raises(ValueError, match=r"exclude: .* got 'sub-3'. The nearest are sub-03"):
        ids(exclude="sub-3")


def test_left_out_subjects_are_counted(tree):
    labels, report = labelled_scans(
        tree, "here", label="age", pattern="T1w", pipeline="", include=("sub-01", "02"),
        exclude="sub-02",
    )  # fmt: skip
    assert [s.id for s in labels] == ["sub-01"]
    assert {k: len(v) for k, v in report.left_out.items()} == {
        "not named in include=": 10,
        "named in exclude=": 1,
    }
    assert report.found == 12
