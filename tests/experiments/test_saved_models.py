"""Reading a work directory: no file changes, and what cannot be used is one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from fedbrain import main
from fedbrain.experiments import grid_tables, predict_tree, saliency, saved_models
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.finished import load
from fedbrain.experiments.model_description import describe_model
from fedbrain.experiments.saved_models import export_model, load_models, read_identity
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.starting_point import from_file
from fedbrain.experiments.starting_point import run as starting_point
from fedbrain.experiments.trained_models import read_models
from fedbrain.experiments.workdir import MetricsLog, config_of, read_config, write_json
from fedbrain.models.files.weights import flatten
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")
RUN = Path("runs/federated/repeat0-split0")


@pytest.fixture
def workdir(two_rounds, tmp_path):
    """A copy of the finished experiment, with a save that is under way."""
    shutil.copytree(two_rounds, tmp_path / "run")
    unfinished = tmp_path / "run" / RUN / "checkpoints/steps/3.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "part").write_bytes(b"x")
    return tmp_path / "run"


def _listing(folder):
    """Name -> (size, time of the last change, content) of every file and folder."""
    stats = {p: p.stat() for p in (folder, *folder.rglob("*"))}
    return {
        str(p): (stat.st_size, stat.st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p, stat in stats.items()
    }


def _load(workdir):
    [(weight, variables)] = load_models(workdir)
    return weight, {name: np.asarray(x) for name, x in flatten(variables).items()}


def _predict(workdir, folder):
    models = read_models([workdir], federation="federated", client="")
    experiment = models[0].experiment
    scans, _ = saliency.scans_to_explain(experiment, SplitId(0))
    assert np.isfinite(predict_tree.average(models, scans["amber"], "")).all()


def _export(workdir, folder):
    arguments = {"federation": "federated", "client": "", "split": "repeat0-split0"}
    export_model(workdir, str(folder / "model.safetensors"), **arguments, torch=False)
    assert (folder / "model.safetensors").stat().st_size


def _saliency(workdir, folder):
    saliency.run(workdir, folder / "maps", "federated", count=6, steps=1, size=8)
    assert (folder / "maps/amber_occlusion.nii.gz").stat().st_size


def _start(workdir, folder):
    [(_, variables)] = load_models(workdir)
    _, loaded = starting_point(str(workdir))(variables, SplitId(0))
    assert loaded
    assert loaded.missing == []


@pytest.mark.parametrize("read", [_predict, _export, _saliency, _start])
def test_a_command_that_reads_changes_no_file(workdir, tmp_path, read, monkeypatch):
    monkeypatch.setattr(saliency, "FEWEST", 1)
    monkeypatch.setattr(saliency, "montage", lambda *args, **kwargs: None)
    monkeypatch.setattr(saliency, "save", lambda *args: None)
    before = _listing(workdir)
    read(workdir, tmp_path)
    assert _listing(workdir) == before


def test_an_exported_file_says_what_is_needed_and_starts_another_run(workdir, tmp_path):
    _export(workdir, tmp_path)
    path = str(tmp_path / "model.safetensors")
    with safe_open(path, "np") as file:
        description = file.metadata()
    assert description["voxel_size_mm"] == "18"
    assert description["shape"] == "10 x 12 x 10"
    assert description["unit"] == "years"
    assert description["output"] == "prediction (years) = 50 + 15 * output"
    assert description["model"] == "adapted_sfcn(channels=(4, 8), dropout=0.2)"
    assert "z-scored inside the mask" in description["normalisation"]
    assert "not registered" in description["normalisation"]
    assert "jax " in description["versions"]
    [(_, variables)] = load_models(workdir)
    started, loaded = from_file(path)(variables, SplitId(0))
    assert (loaded.missing, loaded.left_over, loaded.renamed) == ([], [], {})
    assert tree_digest(started) == tree_digest(variables)


def test_a_model_of_registered_images_says_so(tmp_path):
    """Whoever uses the file must know where the box lies in the template."""
    c = config(tmp_path, regimes=("federated",))
    c.prepare = "registered(voxel_size_mm=6.0, shape=(28, 32, 28))"
    experiment = read_experiment(c)
    text = describe_model(c.to_dict(), experiment, (28, 32, 28, 1), model="m", torch=False)
    assert "not registered" not in text["normalisation"]
    assert "the middle of the box at (0, -17, 4) mm" in text["normalisation"]


@pytest.mark.parametrize(
    ("name", "torch", "message"),
    [("m.pt", False, r"expected FILE\.safetensors"), ("m.safetensors", True, "--torch: expected")],
)
def test_what_cannot_be_exported_is_refused(workdir, tmp_path, name, torch, message):
    arguments = {"federation": "federated", "client": "", "split": "repeat0-split0"}
    with pytest.raises(ValueError, match=message):
        export_model(workdir, str(tmp_path / name), **arguments, torch=torch)
    assert not (tmp_path / name).exists()


def test_tables_of_a_grid_change_no_experiment(workdir, tmp_path):
    grid = tmp_path / "grid"
    shutil.copytree(workdir, grid / "first/seed0")
    fields = {"rows": {}, "seeds": 1, "source": "", "published": {}}
    (grid / "config.json").write_text(json.dumps({"config": fields}))
    before = _listing(grid / "first")
    grid_tables.run(grid)
    assert _listing(grid / "first") == before
    names = {path.name for path in grid.iterdir()}
    assert names == {"config.json", "first", "tables.json", "tables.txt"}


def test_a_newest_step_that_a_run_is_saving_is_passed_over(workdir, caplog):
    (workdir / RUN / "checkpoints/manifests/2.json").unlink()
    before = _listing(workdir)
    _load(workdir)
    assert "checkpoint 2 of" in caplog.text
    assert _listing(workdir) == before


def test_a_copy_without_manifests_keeps_its_steps(workdir):
    shutil.rmtree(workdir / RUN / "checkpoints/manifests")
    before = _listing(workdir)
    with pytest.raises(ValueError, match=r"repeat0-split0: expected a checkpoint that verifies"):
        load_models(workdir)
    assert _listing(workdir) == before


def test_a_model_trained_on_more_devices_is_read_on_fewer(workdir):
    whole = _load(workdir)
    identity = json.loads((workdir / "config.json").read_text())
    identity["config"]["driver"] = "shard(devices=64)"
    (workdir / "config.json").write_text(json.dumps(identity))
    weight, variables = _load(workdir)
    assert weight == whole[0]
    for name, values in whole[1].items():
        np.testing.assert_array_equal(variables[name], values)
    c = config(workdir / "cache")
    c.driver = "shard(devices=64)"
    with pytest.raises(ValueError, match="devices=64"):  # training needs them
        read_experiment(c)


def test_a_run_whose_rounds_were_all_skipped_is_refused(two_rounds, scans, tmp_path):
    c = config(scans, rounds=2, regimes=("federated",))
    c.client.optimizer = "sgd(1e30)"
    with pytest.raises(ValueError, match="every round was skipped"):
        main.run(c, tmp_path / "run")
    before = _listing(tmp_path / "run")
    with pytest.raises(ValueError, match=r"repeat0-split0: every round was skipped"):
        load_models(tmp_path / "run")
    assert _listing(tmp_path / "run") == before


def test_a_run_without_a_finite_validation_loss_is_refused(workdir, monkeypatch):
    read = saved_models.read_newest

    def never_finite(folder, template):
        return read(folder, template)._replace(selection=template.selection)

    monkeypatch.setattr(saved_models, "read_newest", never_finite)
    with pytest.raises(ValueError, match="expected a finite validation loss in some round"):
        load_models(workdir)


def test_a_run_that_never_finished_a_round_is_refused(workdir):
    shutil.rmtree(workdir / RUN / "checkpoints")
    with pytest.raises(ValueError, match="expected a checkpoint that verifies, got none"):
        load_models(workdir)
    (workdir / RUN / "members.json").unlink()
    with pytest.raises(ValueError, match="got a run that has not finished a round"):
        load_models(workdir)


@pytest.mark.parametrize("members", ["[]", "[1]"])
def test_a_run_whose_members_have_no_names_is_refused(workdir, members):
    (workdir / RUN / "members.json").write_text(members)
    with pytest.raises(ValueError, match=r"members\.json: expected the names of the clients"):
        load_models(workdir)


@pytest.mark.parametrize("length", [0, 100])
def test_a_configuration_that_is_cut_or_empty_is_named(workdir, length):
    path = workdir / "config.json"
    path.write_text(path.read_text()[:length])
    for read in (read_identity, grid_tables.read_grid):
        with pytest.raises(ValueError, match=r"config\.json: expected the configuration of a run"):
            read(workdir)


WHOLE = [
    "{}",
    "[]",
    "null",
    "3",
    '"text"',
    "NaN",
    "[" * 100_000,
    '{"config": null}',
    '{"config": []}',
]


@pytest.mark.parametrize("text", WHOLE, ids=lambda text: text[:20])
def test_a_configuration_that_is_another_thing_is_named(workdir, text):
    (workdir / "config.json").write_text(text)
    for read in (read_identity, grid_tables.read_grid, config_of):
        with pytest.raises(ValueError, match=r"config\.json: expected the configuration of a run"):
            read(workdir)


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", 3), ("client", "x"), ("splits", []), ("rounds", "many"), ("covariates", 5)],
)
def test_a_stored_field_of_another_type_is_named(workdir, field, value):
    stored = read_config(workdir)
    stored["config"][field] = value
    write_json(workdir / "config.json", stored)
    with pytest.raises(ValueError, match=r"config\.json: "):
        read_identity(workdir)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"unit": 3}', "[" * 100_000])
def test_results_that_are_damaged_are_named(workdir, text):
    (workdir / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json: expected the results of an experiment"):
        load(workdir)


@pytest.mark.parametrize("text", ["\xff", "[]\n", "{}\n", '{"round": "x"}\n'])
def test_lines_that_are_no_rounds_are_taken_back(workdir, text):
    path = workdir / RUN / "metrics.jsonl"
    whole = MetricsLog.read(path)
    with path.open("a", encoding="latin-1") as file:
        file.write(text)
    assert MetricsLog.read(path) == whole


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 3}'])
def test_damaged_manifests_are_no_checkpoints(workdir, text):
    for path in (workdir / RUN / "checkpoints/manifests").iterdir():
        path.write_text(text)
    with pytest.raises(ValueError, match="expected a checkpoint that verifies, got none"):
        load_models(workdir)
