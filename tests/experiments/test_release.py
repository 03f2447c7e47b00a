"""A file of all models of an experiment: what it holds, what it does not, and what it predicts."""

import json
import re
import shutil

import numpy as np
import pytest

from fedbrain.analysis.conformal import margins
from fedbrain.data.tables import read_table
from fedbrain.experiments import known_people, predict_images, predict_tree, unprepared
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.release import About, read_release, write_release
from fedbrain.experiments.saved_models import export_model, read_identity
from fedbrain.experiments.trained_models import of_workdirs
from fedbrain.models.files.safetensors_file import (
    read_description,
    read_safetensors,
    write_safetensors,
)
from tests import tiny
from tests.programs import run_program

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")
WHOSE = {"federation": "federated", "client": ""}
NOTE = "SYNTHETIC: for nobody."


@pytest.fixture
def release(two_rounds, tmp_path):
    path = tmp_path / "all.safetensors"
    write_release(two_rounds, str(path), About(NOTE, people=False), **WHOSE)
    return path


def _told(path):
    return json.loads(read_description(path.read_bytes())["release"])


def _changed(path, **fields):
    """The same file with other fields in its description."""
    told = {**_told(path), **fields}
    other = path.with_name("other.safetensors")
    kept = {name: value for name, value in told.items() if value is not ...}
    write_safetensors(other, read_safetensors(path), {"release": json.dumps(kept)})
    return other


def test_it_predicts_as_the_work_directory_does(release, two_rounds):
    """Weights are rounded to float16, which moves a prediction by hundredths of a year."""
    experiment, _ = read_identity(two_rounds)
    scans, _ = load_clients(experiment)
    there, here = of_workdirs([two_rounds], **WHOSE), read_release(release)
    expected = predict_tree.average(there.models, scans["amber"], "")
    np.testing.assert_allclose(
        predict_tree.average(here.models, scans["amber"], ""), expected, atol=0.1
    )
    assert {value.dtype for value in read_safetensors(release).values()} == {np.dtype("float16")}
    assert [m.weight for m in here.models] == [m.weight for m in there.models]


def test_its_error_and_its_intervals_are_those_of_test_people(release, two_rounds):
    trained = read_release(release)
    rows = [
        (float(row["target"]), float(row["prediction"]))
        for path in sorted(two_rounds.glob("clients/*/predictions.tsv"))
        for row in read_table(path)
        if (row["regime"], row["part"]) == ("federated", "test")
    ]
    expected = margins(*np.asarray(rows).T)
    assert trained.margins is not None
    assert trained.margins.people == expected.people == len(rows)
    np.testing.assert_allclose(trained.margins[1:], expected[1:], rtol=1e-6)
    error, note = trained.errors
    assert re.search(r"SYNTHETIC training data\. \d+ test people: MAE .*median predictor", error)
    assert note == NOTE


def test_an_experiment_that_has_not_ended_is_refused(two_rounds, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(two_rounds, workdir)
    stored = json.loads((workdir / "config.json").read_text())
    stored["config"]["splits"]["repeats"] = 2
    (workdir / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="expected models of 2 splits, got 1. Run"):
        write_release(workdir, str(tmp_path / "a.safetensors"), About("", people=False), **WHOSE)


def test_the_same_models_give_the_same_bytes(release, two_rounds, tmp_path):
    again = tmp_path / "again.safetensors"
    write_release(two_rounds, str(again), About(NOTE, people=False), **WHOSE)
    assert again.read_bytes() == release.read_bytes()
    description = read_description(release.read_bytes())
    assert list(description) == sorted(description)


def test_it_names_neither_people_nor_folders_unless_asked_to(release, two_rounds, tmp_path):
    content = release.read_bytes()
    assert b"sub-" not in content
    assert str(two_rounds.parent).encode() not in content
    assert b"synthetic('amber'" not in content
    experiment, _ = read_identity(two_rounds)
    scans = load_clients(experiment)[0]["amber"]
    silent = read_release(release).find_known(scans)
    assert (silent.same_image, silent.silent) == ([], [release])
    assert "scans.tsv" not in known_people.warn(silent, len(scans))
    named = tmp_path / "named.safetensors"
    write_release(two_rounds, str(named), About("", people=True), **WHOSE)
    found = read_release(named).find_known(scans)
    assert found == known_people.find_known([two_rounds], "federated", scans)
    assert found.same_image


def test_the_reader_takes_no_sites_folders_or_starting_points_from_a_file(release):
    config = {**_told(release)["config"], "initial": "run('/elsewhere')", "cache": "/elsewhere"}
    other = _changed(release, config={**config, "sites": {"a": "bids('/elsewhere')"}})
    experiment = read_release(other).models[0].experiment
    assert (experiment.sites, experiment.initial) == ({}, "random()")
    assert experiment.cache == "~/.cache/fedbrain/volumes"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"config": ...}, "got a file with other fields"),
        ({"weights": {}}, "got a file with other fields"),
        ({"weights": {"repeat7-split0": 1.0}}, "expected arrays, got none"),
        ({"margins": {"people": 3}}, "got a file with other fields"),
    ],
)
def test_a_changed_file_is_refused_in_one_sentence(release, fields, message):
    with pytest.raises(ValueError, match=message) as refused:
        read_release(_changed(release, **fields))
    assert "other.safetensors" in str(refused.value)


def test_a_file_of_another_kind_is_refused_in_one_sentence(release, two_rounds, tmp_path):
    with pytest.raises(ValueError, match="got no file there"):
        read_release(tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(release.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged, or of another kind"):
        read_release(cut)
    flipped = bytearray(release.read_bytes())
    flipped[-3] ^= 1
    cut.write_bytes(flipped)
    with pytest.raises(ValueError, match="checksum differs"):
        read_release(cut)
    one = tmp_path / "one.safetensors"
    export_model(two_rounds, str(one), **WHOSE, split="repeat0-split0", torch=False)
    with pytest.raises(ValueError, match="A file of one model starts training"):
        read_release(one)


def _tree(root, head: int, brains: int):
    """SYNTHETIC: noise in the whole image, or in the middle of a blank one."""
    rng = np.random.default_rng(0)
    for i in range(head + brains):
        data = rng.uniform(80, 120, (40, 48, 40)).astype(np.float32)
        if i >= head:
            data[:8], data[-8:], data[:, :8], data[:, -8:], data[..., :8], data[..., -8:] = [0] * 6
        tiny.save_volume(root / f"sub-{i}/anat/sub-{i}_T1w.nii.gz", data, np.diag([4.0, 4, 4, 1]))
    return root


def test_heads_are_not_predicted_by_a_model_of_registered_brains(release, tmp_path, capsys):
    config = {**_told(release)["config"], "cache": str(tmp_path / "cache")}
    prepare = "registered(voxel_size_mm=18.0, shape=(10, 12, 10), centre_mm=(78.0, 94.0, 78.0))"
    registered = read_release(_changed(release, config={**config, "prepare": prepare}))
    root = _tree(tmp_path / "tree", head=1, brains=2)
    tree = predict_tree.Tree(root, "age", "T1w", "", {})
    predict_tree.run(registered, tree, tmp_path / "out.tsv", views="")
    out = capsys.readouterr().out
    assert "3 scans found, 2 kept, 1 left out" in out
    assert f"1 x {unprepared.REASON}, for instance: sub-0: expected a brain without skull" in out
    assert "Run `fedbrain prepare`" in out
    assert [row["scan_id"] for row in read_table(tmp_path / "out.tsv")] == ["sub-1", "sub-2"]
    images = [root / f"sub-{i}/anat/sub-{i}_T1w.nii.gz" for i in (0, 1)]
    with pytest.raises(ValueError, match="sub-0_T1w.nii.gz: expected a brain without skull"):
        predict_images.run(registered, images, None, covariates={}, views="")
    predict_images.run(registered, images[1:], None, covariates={}, views="")
    assert NOTE in capsys.readouterr().out
    unregistered = read_release(release)  # another model takes heads as they are
    predict_tree.run(unregistered, tree, tmp_path / "out.tsv", views="")
    assert "3 scans found, 3 kept, 0 left out" in capsys.readouterr().out


def test_the_commands_write_it_and_predict_by_it(release, two_rounds, tmp_path):
    written = tmp_path / "written.safetensors"
    flags = (two_rounds, "--all", f"--note={NOTE}", f"--output={written}")
    done = run_program("fedbrain.export", *flags)
    assert done.returncode == 0, done.stderr
    assert "`fedbrain predict --model=" in done.stdout
    assert written.read_bytes() == release.read_bytes()
    config = {**_told(release)["config"], "cache": str(tmp_path / "cache")}
    other = _changed(release, config=config)
    root, table = _tree(tmp_path / "tree", head=0, brains=2), tmp_path / "out.tsv"
    done = run_program(
        "fedbrain.predict", f"--model={other}", f"--bids={root}", f"--output={table}"
    )
    assert done.returncode == 0, done.stderr
    assert "2 predictions of 1 models" in done.stdout
    assert "people of the cross-validation" in done.stdout
    assert done.stdout.rstrip().endswith(NOTE)
    assert [row["scan_id"] for row in read_table(table)] == ["sub-0", "sub-1"]


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("predict", ["--model=nobody"], "expected a model that comes with fedbrain, or a file"),
        ("predict", ["--model=nobody", "runs/x"], "expected --workdir or --model"),
        ("predict", [], "expected --workdir or --model"),
        ("predict", ["--model=a", "--federation=centralised"], "are of work directories"),
        ("export", ["runs/x", "--all", "--split=a", "--output=a"], "--torch, --split: are of one"),
        ("export", ["runs/x", "--note=a", "--output=a"], "--note, --people: need --all"),
    ],
)
def test_flags_that_do_not_go_together(program, arguments, message):
    more = ["--image=x.nii"] if program == "predict" else []
    done = run_program(f"fedbrain.{program}", *arguments, *more)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
