"""Sex from scans, end to end: train, report, predict, load."""

import json
import re

import numpy as np
import pytest
from absl import flags

import fedbrain
from fedbrain import main
from fedbrain.analysis.classification import pooled_accuracy
from fedbrain.analysis.stored_predictions import read_tests
from fedbrain.data.tables import read_table
from fedbrain.experiments import predict_images, predict_tree
from fedbrain.experiments.report import write_report
from fedbrain.experiments.trained_models import of_workdirs
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs")


def _of(workdir):
    return of_workdirs([workdir], federation="federated", client="")


def of_sex(cache, **more):
    """Two inner splits and two views, so that probabilities are averaged."""
    c = config(cache, rounds=2, regimes=("federated", "local"))
    sizes = {"amber": 15, "birch": 12, "cedar": 10}
    c.sites = {h: f"synthetic('{h}', subjects={n}, label='sex')" for h, n in sizes.items()}
    c.loss = "cross_entropy(('F', 'M'))"
    c.views = "averaged()"
    c.splits.inner = 2
    c.report_by = ("histogram('age', 20, 80, 2)",)
    c.update(more)
    return c


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scans):
    """The work directory of a finished experiment."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    workdir = tmp_path_factory.mktemp("classes") / "run"
    main.run(of_sex(scans), workdir)
    return workdir


def test_results_are_those_of_classes(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["classes"] == ["F", "M"]
    pooled = results["regimes"]["federated"]["pooled"]
    assert np.sum(pooled["confusion"]) == pooled["n"]
    right = np.trace(pooled["confusion"])
    assert pooled["accuracy"] == pytest.approx(right / pooled["n"])
    assert "mae" not in json.dumps(results)
    told = results["groups"]["age"]["federated"]["pooled"][0]
    assert {"accuracy", "accuracy_95", "auc", "floor_accuracy"} <= set(told)
    result = fedbrain.load(finished)
    for words in ("SYNTHETIC", "balanced", "AUC", "put into M", "accuracy by age"):
        assert words in result.table, words
    assert "MAE" not in result.table
    assert {"predictions_federated.png", "predictions_local.png"} <= {
        p.name for p in result.figures
    }


def test_stored_probabilities_give_the_same_numbers(finished):
    rows = read_table(finished / "clients/amber/test.tsv")
    columns = ["repeat", "regime", "subject", "target", "prediction", "class_F", "class_M", "floor"]
    assert list(rows[0]) == columns
    for row in rows:
        assert float(row["class_F"]) + float(row["class_M"]) == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == ("F" if float(row["class_F"]) >= 0.5 else "M")
    results = json.loads((finished / "results.json").read_text())
    stored = pooled_accuracy(list(read_tests(finished)["federated"].values()))
    assert stored == results["regimes"]["federated"]["pooled"]
    names = list(read_table(finished / "clients/amber/predictions.tsv")[0])
    assert names[-4:] == ["target", "prediction", "class_F", "class_M"]


def test_a_report_has_the_confusion_and_nothing_of_numbers(finished, tmp_path):
    page = write_report(finished, tmp_path / "report.html").read_text()
    page = re.sub(r"base64,[^\"]+", "", page)
    for words in ("balanced", "put into M", "Confusion of classes on the test sets: federated"):
        assert words in page, words
    for words in ("Age gap", "MAE", "Predicted against true"):
        assert words not in page, words


def test_predictions_of_images_and_of_a_tree_are_probabilities(
    finished, hospitals, tmp_path, capsys
):
    tree = sorted(hospitals.iterdir())[0]
    image = sorted(tree.rglob("*_T1w.nii.gz"))[0]
    predict_images.run(_of(finished), [image], tmp_path / "images.tsv", covariates={}, views="")
    out = capsys.readouterr().out
    assert re.search(r"_T1w.nii.gz: [FM] \(F 0\.\d\d, M 0\.\d\d\)", out)
    assert re.search(r"\d+ test people: accuracy .*, AUC .*; accuracy of the largest class", out)
    [row] = read_table(tmp_path / "images.tsv")
    assert list(row) == ["image", "prediction", "class_F", "class_M"]
    with pytest.warns(UserWarning, match="participant id of a person"):
        shares = fedbrain.load(finished).predict(image)
    assert shares == pytest.approx({k: float(row[f"class_{k}"]) for k in "FM"}, abs=1e-3)
    arguments = predict_tree.Tree(tree, "sex", "T1w", "", {})
    predict_tree.run(_of(finished), arguments, tmp_path / "tree.tsv", views="")
    assert "in classes F, M" in capsys.readouterr().out
    first = read_table(tmp_path / "tree.tsv")[0]
    assert first["class_M"] == row["class_M"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sites.amber": "synthetic('amber', subjects=15)"}, "amber: expected labels .*1 for M"),
        ({"loss": "cross_entropy(('F', 'F'))"}, "config.loss: .* each once"),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path, scans, changes, words):
    c = of_sex(scans)
    for name, value in changes.items():
        c.update_from_flattened_dict({name: value})
    with pytest.raises(ValueError, match=words):
        main.run(c, tmp_path / "run")
    assert not (tmp_path / "run").exists()
