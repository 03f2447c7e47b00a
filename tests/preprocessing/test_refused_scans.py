"""What `fedbrain prepare` says of scans that cannot be prepared, and of disks that are full."""

import pytest

from fedbrain.data.nifti_file import ImageError
from fedbrain.preprocessing import niimath, session, tree
from fedbrain.preprocessing.recipe import make_recipe
from tests.programs import run_program
from tests.tiny import brain, save_volume

RECIPE = make_recipe("template", 6.0, shape=["30", "36", "30"], modalities=[])


def _program(path, says, code=1):
    path.write_text(f"#!/bin/sh\nprintf '{says}' >&2\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (r"it is too thin\nUsing 1 threads...\n", r"niimath -n4 failed: it is too thin$"),
        (r"Using 1 threads...\n", r"niimath -n4 failed: exit code 1, without a word$"),
    ],
)
def test_a_step_that_fails_is_told_by_what_says_something(tmp_path, says, sentence):
    with pytest.raises(ImageError, match=sentence):
        niimath.run(_program(tmp_path / "niimath", says), "-n4")


def test_a_full_disk_of_files_on_the_way_is_no_scans_fault(tmp_path):
    full = _program(tmp_path / "niimath", r"niimath: failed to write output T1w.nii\n")
    for use in (lambda: niimath.run(full, "-n4"), _fill_scratch):
        with pytest.raises(niimath.ScratchError, match="cannot be written there .* TMPDIR=FOLDER"):
            use()


def _fill_scratch():
    with session._scratch():
        raise OSError(28, "No space left on device")


def _tree(root, shapes):
    for k, shape in enumerate(shapes):
        save_volume(root / f"sub-{k}/anat/sub-{k}_T1w.nii.gz", brain(k, shape))
    return tree.find_sessions(root, "T1w", ())


def test_a_localizer_and_a_closed_file_are_named_and_the_others_go_on(tmp_path, monkeypatch):
    root = tmp_path / "a tree é"
    found = _tree(root, [(16, 16, 3), (16, 16, 16), (16, 9, 16)])
    closed, sample = found.sessions[1].path, tree.content_sample

    def of(path):
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return sample(path)

    monkeypatch.setattr(tree, "content_sample", of)
    outcomes = list(tree.prepare_tree(root, tmp_path / "out", found, RECIPE, jobs=1))
    assert [one.state for one in outcomes] == ["failed"] * 3
    for outcome, words in zip(outcomes, ("16 x 16 x 3 voxels", "no permission", "16 x 9 x 16")):
        assert outcome.reason.startswith(f"{outcome.scan.path}: ")
        assert words in outcome.reason
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


def test_a_full_disk_ends_the_run(tmp_path, monkeypatch):
    found = _tree(tmp_path / "raw", [(16, 16, 16)])

    def full(*arguments, **more):
        raise niimath.ScratchError("No space left on device")

    monkeypatch.setattr(tree, "prepare_session", full)
    with pytest.raises(niimath.ScratchError):
        list(tree.prepare_tree(tmp_path / "raw", tmp_path / "out", found, RECIPE, jobs=1))


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    _tree(tmp_path / "raw", [(16, 16, 16)])
    (tmp_path / "file").write_text("x")
    ended = run_program(
        "fedbrain.prepare", tmp_path / "raw", "--brain=template", f"--output={tmp_path / 'file'}"
    )
    assert ended.returncode == 1
    assert "expected a folder for results, got the file" in ended.stderr
    assert ended.stdout == ""
    assert (tmp_path / "file").read_text() == "x"
