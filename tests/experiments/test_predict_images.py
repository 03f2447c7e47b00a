"""Single NIfTI files, and people of the training set among new scans."""

import re
import shutil

import numpy as np
import pytest
from absl import flags

from fedbrain import main
from fedbrain.data.tables import read_table
from fedbrain.experiments import predict_images, predict_tree
from fedbrain.experiments.finished import load
from fedbrain.experiments.known_people import find_known, warn
from fedbrain.experiments.predict_images import read_covariates
from fedbrain.experiments.trained_models import of_workdirs, usual_error
from tests import tiny
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")


def _of(workdir):
    return of_workdirs([workdir], federation="federated", client="")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model trained on a BIDS tree: (work directory, tree)."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    folder = tmp_path_factory.mktemp("images")
    tree = tiny.write_tree(folder / "tree")
    c = config(folder / "cache", rounds=1, regimes=("federated",))
    c.sites = {"here": f"bids({str(tree)!r})"}
    c.prepare = "conform(voxel_size_mm=6.0, shape=(10, 12, 10))"
    main.run(c, folder / "run")
    return folder / "run", tree


def _image(tree, number):
    return tree / f"sub-{number:02d}/anat/sub-{number:02d}_T1w.nii.gz"


def _parts(workdir):
    rows = (workdir / "clients/here/scans.tsv").read_text().splitlines()[1:]
    return {row.split("\t")[0]: row.split("\t")[-1] for row in rows}


def test_an_image_outside_of_any_tree(trained, tmp_path, capsys):
    workdir, _ = trained
    path = tiny.save_volume(tmp_path / "my scan.nii.gz", tiny.brain(99))
    predict_images.run(_of(workdir), [path, path], None, covariates={}, views="")
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{path}: -?\d+\.\d years", lines[0])
    assert lines[0] == lines[1]
    assert re.search(r"\d+ test people: MAE .* years \(95 % .*; median predictor", lines[3])
    assert not any("Warning" in line for line in lines)
    value = load(workdir).predict(str(path))
    assert f"{value:.1f}" in lines[0]


def test_the_same_prediction_as_in_a_tree_and_a_table(trained, tmp_path, capsys):
    workdir, tree = trained
    arguments = predict_tree.Tree(tree, "age", "T1w", "", {})
    predict_tree.run(_of(workdir), arguments, tmp_path / "tree.tsv", views="")
    assert re.search("12 predictions of 1 models in .*, in years", capsys.readouterr().out)
    rows = (tmp_path / "tree.tsv").read_text().splitlines()[1:]
    images = [_image(tree, i) for i in range(3)]
    predict_images.run(_of(workdir), images, tmp_path / "images.tsv", covariates={}, views="")
    ours = [line.split("\t")[1] for line in (tmp_path / "images.tsv").read_text().splitlines()]
    np.testing.assert_allclose(
        [float(x) for x in ours[1:]], [float(r.split("\t")[1]) for r in rows[:3]], atol=2e-3
    )


def test_what_enters_the_last_layer_as_a_table(trained, tmp_path, capsys):
    """The features times the last layer are the prediction."""
    workdir, tree = trained
    arguments = predict_tree.Tree(tree, "age", "T1w", "", {})
    table = tmp_path / "features.tsv"
    predict_tree.run(_of(workdir), arguments, tmp_path / "tree.tsv", views="", features=table)
    assert "8 features of 12 people, by the model of the first split" in capsys.readouterr().out
    rows = read_table(tmp_path / "features.tsv")
    assert list(rows[0])[:3] == ["participant_id", "age", "feature0"]
    features = np.asarray([[float(r[f"feature{k}"]) for k in range(8)] for r in rows])
    [model] = _of(workdir).models
    head = model.variables["params"]["head"]
    said = features @ np.asarray(head["kernel"])[:, 0] + np.asarray(head["bias"])[0]
    expected = [float(r["prediction"]) for r in read_table(tmp_path / "tree.tsv")]
    np.testing.assert_allclose(50 + 15 * said, expected, rtol=1e-4)


def test_people_of_the_training_set_are_named_by_image_and_by_id(trained, tmp_path, capsys):
    workdir, tree = trained
    parts = _parts(workdir)
    trained_on = next(scan for scan, part in parts.items() if part == "train")
    tested = next(scan for scan, part in parts.items() if part == "test")
    other = tmp_path / "other"
    shutil.copytree(tree / trained_on, other / "sub-new")  # the image under another name
    for path in (other / "sub-new/anat").iterdir():
        path.rename(path.with_name("sub-new_T1w.nii.gz"))
    tiny.save_volume(other / trained_on / f"anat/{trained_on}_T1w.nii.gz", tiny.brain(50))
    tiny.save_volume(other / tested / f"anat/{tested}_T1w.nii.gz", tiny.brain(51))
    arguments = predict_tree.Tree(other, "age", "T1w", "", {})
    predict_tree.run(_of(workdir), arguments, tmp_path / "out.tsv", views="")
    out = capsys.readouterr().out
    assert "Warning: 1 of 3 scans are images that the model was trained on" in out
    assert "for instance sub-new" in out
    assert "Warning: 1 of 3 scans have the participant id of a person" in out
    assert f"for instance {trained_on}." in out
    with pytest.warns(UserWarning, match="images that the model was trained on"):
        load(workdir).predict(tree / trained_on / f"anat/{trained_on}_T1w.nii.gz")


def test_a_work_directory_that_does_not_know_says_so(trained, tmp_path):
    _, tree = trained
    experiment = _of(trained[0]).models[0]
    scans, _ = predict_tree.load_tree(predict_tree.Tree(tree, "age", "T1w", "", {}), experiment[0])
    known = find_known([tmp_path], "federated", scans)
    assert (known.same_image, known.same_id) == ([], [])
    assert "does not say who was trained on" in warn(known, len(scans))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.nii.gz", None, "none.nii.gz"),
        ("text.nii.gz", b"hello", "text.nii.gz"),
        ("empty.nii", b"", "empty.nii: expected an image, got 0 bytes"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(trained, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        predict_images.run(_of(trained[0]), [tmp_path / name], None, covariates={}, views="")


@pytest.mark.parametrize(
    ("texts", "names", "images", "message"),
    [
        ({}, ["age"], 1, "expected age, which the model needs, got no age.*--covariates=age=VALUE"),
        ({"age": "63"}, [], 1, r"those of the model \(none\), got age"),
        ({"age": "old"}, ["age"], 1, "--covariates: age: "),
        ({"age": "n/a"}, ["age"], 1, "age: expected a number, got 'n/a'"),
        ({"age": "63"}, ["age"], 2, "--image: expected one image"),
    ],
)
def test_covariates_that_cannot_be_used(texts, names, images, message):
    with pytest.raises(ValueError, match=message):
        read_covariates(texts, names, images)


def test_covariates_of_a_person():
    read = read_covariates({"age": "63", "sex": "F"}, ["age", "sex"], 1)
    assert read == {"age": 63.0, "sex": 0.0}


def test_where_the_error_of_a_model_is_not_known_it_is_said(tmp_path):
    assert "results.json is not there" in usual_error(tmp_path, "federated")
    (tmp_path / "results.json").write_text("[1, 2")
    assert "results.json is damaged" in usual_error(tmp_path, "federated")
