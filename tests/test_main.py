"""The main job end to end, small: run, run again, resume, refuse, predict."""

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from itertools import pairwise

import pytest
from absl import flags

from fedbrain import main
from fedbrain.experiments.new_people import COLUMNS
from tests.conftest import without_figures
from tests.experiment_under_test import config
from tests.programs import ROOT, run_program

pytestmark = pytest.mark.usefixtures("shared_programs")
REGIMES = {"federated", "centralised", "local-amber", "local-birch", "local-cedar"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scans):
    """A finished experiment: (work directory, cache)."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    workdir = tmp_path_factory.mktemp("main") / "run"
    main.run(config(scans), workdir)
    return workdir, scans


@pytest.fixture(autouse=True)
def drawn_once(finished):
    """The finished experiment has drawn its figures; what the tests run draws none."""
    del finished
    with without_figures():
        yield


def test_leaves_what_it_promises(finished):
    workdir, _ = finished
    results = json.loads((workdir / "results.json").read_text())
    assert set(results["regimes"]) == {"federated", "centralised", "local"}
    assert results["synthetic"] is True
    assert {p.name for p in (workdir / "runs").iterdir()} == REGIMES
    pooled = results["regimes"]["federated"]["pooled"]
    assert set(pooled) >= {"n", "mae", "mae_95", "rmse", "r2", "r", "p", "floor_mae", "age_gap"}
    assert pooled["n"] == sum(c["n"] for c in results["regimes"]["federated"]["clients"].values())
    assert len(list(workdir.rglob("losses.png"))) == 5
    assert len(list(workdir.glob("figures/predictions_*.png"))) == 3
    text = (workdir / "runs/federated/repeat0-split0/metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["round"] for line in lines] == [1, 2, 3, 4]
    assert set(lines[0]["cosine"]) == {"amber", "birch", "cedar"}


def _keys(value):
    """All names of fields in nested JSON."""
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


def _section(page, title):
    """Names in backticks in a section of docs/work_directory.md: all, of rows, of rows for every
    run.
    """
    text = re.split(r"^## ", page, flags=re.M)
    [section] = [part for part in text if part.startswith(title)]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [row.split("|")[1] for row in rows]
    always = [row.split("|")[1] for row in rows if "| only " not in row]
    return [set(re.findall(r"`([^`]+)`", "".join(text))) for text in (section, cells, always)]


def test_a_page_documents_every_file_and_field(finished):
    """The other way round, too: a row that is not marked `only` stands for what every run has."""
    workdir, _ = finished
    page = (ROOT / "docs/work_directory.md").read_text()
    _, known, always = _section(page, "Files")
    patterns = [re.sub("<[^>]*>", "*", name) + "*" * name.endswith("/") for name in known]
    files = [str(p.relative_to(workdir)) for p in workdir.rglob("*") if p.is_file()]
    assert [f for f in files if not any(fnmatch(f, pattern) for pattern in patterns)] == []
    for name in always:
        assert any(fnmatch(f, re.sub("<[^>]*>", "*", name).rstrip("/") + "*") for f in files), name
    history = (workdir / "runs/federated/repeat0-split0/metrics.jsonl").read_text().splitlines()
    results = json.loads((workdir / "results.json").read_text())
    names = REGIMES | {"federated", "centralised", "local", "amber", "birch", "cedar"}
    names |= {*results["variables_sha256"], *results["comparisons"]}
    written = {
        "`results.json`": _keys(results) - names,
        "`metrics.jsonl`": _keys([json.loads(line) for line in history]) - names,
        "`made_by.json`": _keys(json.loads((workdir / "made_by.json").read_text())),
    }
    for title, fields in written.items():
        known, _, always = _section(page, title)
        assert sorted(fields - known) == [], f"docs/work_directory.md, {title}: no row for these"
        assert sorted(always - fields) == [], f"docs/work_directory.md, {title}: not written"
    tables = {path.read_text().splitlines()[0] for path in workdir.glob("clients/*/*.tsv")}
    columns = {column for line in tables for column in line.split("\t")}
    assert columns - _section(page, "Tables")[0] == set()


def test_volumes_on_the_device_train_as_streamed_ones(finished, tmp_path):
    """Resident volumes and clients side by side: other sums, the same training."""
    workdir, cache = finished
    c = config(cache, regimes=("federated",))
    c.residence, c.driver = "resident(dtype='float32')", "vmap()"
    main.run(c, tmp_path / "run")
    losses = []
    for folder in (workdir, tmp_path / "run"):
        text = (folder / "runs/federated/repeat0-split0/metrics.jsonl").read_text()
        losses.append([json.loads(line)["valid_loss"] for line in text.splitlines()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_predictions_stay_in_the_clients_own_folder(finished):
    """Subjects are named in clients/<client>/ and nowhere else."""
    workdir, _ = finished
    tables = {p.parent.name: p.read_text() for p in workdir.glob("clients/*/predictions.tsv")}
    assert set(tables) == {"amber", "birch", "cedar"}
    for name, text in tables.items():
        others = {"amber", "birch", "cedar"} - {name}
        assert f"sub-{name}" in text
        assert not any(f"sub-{other}" in text for other in others)
    assert not _names_subjects(workdir)


def _names_subjects(workdir):
    """Files outside clients/ that name a subject."""
    elsewhere = [
        p
        for p in workdir.rglob("*")
        if p.is_file() and p.relative_to(workdir).parts[0] != "clients"
    ]
    return [
        p
        for p in elsewhere
        if b"sub-" in p.read_bytes() and p.suffix in (".json", ".jsonl", ".tsv")
    ]


def test_a_bids_tree_from_files_to_results(tree, tmp_path):
    """One tree cut into two hospitals; a broken scan is reported in the site's folder only."""
    (tree / "sub-03/anat/sub-03_T1w.nii.gz").write_bytes(b"")
    c = config(tmp_path / "cache", rounds=1)
    c.sites = {"here": f"bids({str(tree)!r})"}
    c.prepare = "conform(voxel_size_mm=6.0, shape=(8, 8, 8))"
    c.partition = "by_target(clients=2, overlap=1.0)"
    c.regimes = ("federated",)
    main.run(c, tmp_path / "run")
    report = json.loads((tmp_path / "run/clients/here/data_report.json").read_text())
    assert (report["found"], report["kept"]) == (12, 11)
    assert "0 bytes" in report["left_out"]["unusable image"][0]
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert set(results["regimes"]["federated"]["clients"]) == {"hospital1", "hospital2"}
    assert results["synthetic"] is False
    assert not _names_subjects(tmp_path / "run")


def test_two_sites_may_use_the_same_subject_ids(tree, tmp_path):
    """Intervals draw people: sub-01 of one hospital is not sub-01 of the other."""
    c = config(tmp_path / "cache", rounds=1)
    c.sites = {site: f"bids({str(tree)!r})" for site in ("one", "two")}
    c.prepare = "conform(voxel_size_mm=6.0, shape=(8, 8, 8))"
    c.regimes = ("federated",)
    main.run(c, tmp_path / "run")
    pooled = json.loads((tmp_path / "run/results.json").read_text())["regimes"]["federated"][
        "pooled"
    ]
    assert pooled["subjects"] == pooled["n"]


def test_the_same_number_of_local_steps_on_the_same_test_scans(finished):
    workdir, _ = finished
    results = json.loads((workdir / "results.json").read_text())
    steps = results["local_steps"]
    assert steps["federated"] == steps["local"]
    assert abs(steps["centralised"] - steps["federated"]) <= 4 * 3  # last batches that are not full
    ids = {}
    for line in (workdir / "clients/amber/predictions.tsv").read_text().splitlines()[1:]:
        scan, regime, _, part, *_ = line.split("\t")
        ids.setdefault((regime, part), set()).add(scan)
    assert len({frozenset(v) for (_, part), v in ids.items() if part == "test"}) == 1


def test_the_same_seed_gives_the_same_results(finished, tmp_path):
    workdir, cache = finished
    main.run(config(cache), tmp_path / "again")
    assert (tmp_path / "again/results.json").read_bytes() == (workdir / "results.json").read_bytes()


def test_a_finished_run_is_not_run_again_and_a_longer_one_is_another(finished, tmp_path, capsys):
    workdir, cache = finished
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    (copy / "results.json").unlink()
    main.run(config(cache), copy)
    assert (copy / "results.json").read_bytes() == (workdir / "results.json").read_bytes()
    with pytest.raises(ValueError, match=r"holds another experiment \(config.rounds: 4 -> 5\)"):
        main.run(config(cache, rounds=5), copy)


def test_repeats_and_inner_splits(finished, tmp_path):
    """Two choices of test subjects, two validation splits each, averaged by inverse loss."""
    c = config(finished[1], rounds=2)
    c.splits.repeats = c.splits.inner = 2
    c.regimes = ("federated",)
    main.run(c, tmp_path / "run")
    folders = {p.name for p in (tmp_path / "run/runs/federated").iterdir()}
    assert folders == {f"repeat{r}-split{s}" for r in (0, 1) for s in (0, 1)}
    results = json.loads((tmp_path / "run/results.json").read_text())["regimes"]["federated"]
    assert results["over_repeats"]["repeats"] == 2
    assert (
        results["pooled"]["n"] == results["pooled"]["subjects"]
    )  # disjoint test sets, one prediction each


def test_early_stopping_sampling_and_private_leaves_survive_a_restart(finished, tmp_path, capsys):
    """Checkpoints hold every state: rounds taken away are run again to the same bits. Early
    stopping and falls of the learning rate are said.
    """
    c = config(finished[1], rounds=6)
    c.regimes = ("federated",)
    c.server.sharing = "without_batch_norm()"
    c.server.optimizer = "adam(1e-2)"
    c.server.sampling = "uniform(2)"
    c.patience.stop, c.patience.plateau = 3, 1
    main.run(c, tmp_path / "run")
    said = "".join(capsys.readouterr())
    whole = (tmp_path / "run/results.json").read_bytes()
    folder = tmp_path / "run/runs/federated/repeat0-split0/checkpoints"
    log = (folder.parent / "metrics.jsonl").read_text().splitlines()
    scales = [1.0, *(json.loads(line)["learning_rate_scale"] for line in log)]
    falls = sum(b < a for a, b in pairwise(scales))
    assert said.count("the learning rate falls to") == falls
    assert said.count("repeat0-split0: Stops early after round") == (len(log) < 6)
    newest = max(int(p.name) for p in (folder / "steps").iterdir() if p.name.isdigit())
    (folder / f"manifests/{newest}.json").unlink()
    main.run(c, tmp_path / "run")
    assert (tmp_path / "run/results.json").read_bytes() == whole


def test_predict_on_scans_it_never_saw(finished, tmp_path):
    """Predictions for labelled and unlabelled scans, a sentence for a broken one."""
    workdir, _ = finished
    written = run_program(
        "fedbrain.synthesise", f"--out={tmp_path / 'trees'}", "--healthy=4", "--seed=99"
    )
    assert written.returncode == 0, written.stderr
    tree = tmp_path / "trees/cedar"
    rows = (tree / "participants.tsv").read_text().splitlines()
    (tree / "participants.tsv").write_text("\n".join(rows[:-1]) + "\n")
    sorted(tree.glob("sub-*/anat/*.nii.gz"))[0].write_bytes(b"")
    done = run_program(
        "fedbrain.predict",
        f"--workdir={workdir}",
        f"--bids={tree}",
        f"--output={tmp_path / 'out.tsv'}",
    )
    assert done.returncode == 0, done.stderr
    assert "4 synthetic scans found, 3 kept, 1 left out" in done.stdout
    assert "0 bytes" in done.stdout
    lines = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert lines[0] == ["scan_id", "prediction", "target", *COLUMNS]
    assert "validation people are known here" in done.stdout
    assert len(lines) == 4
    assert [line[2] == "n/a" for line in lines[1:]] == [False, False, True]
    assert "SYNTHETIC data: 2 with a label: MAE" in done.stdout
    several = (
        f"--workdir={workdir},{workdir}",
        "--test_views=averaged()",
        f"--output={tmp_path / 'both.tsv'}",
    )
    done = run_program("fedbrain.predict", f"--bids={tree}", *several)
    assert done.returncode == 0, done.stderr
    models = json.loads((workdir / "results.json").read_text())["regimes"]["federated"][
        "over_repeats"
    ]["repeats"]
    assert f"3 predictions of {2 * models} models" in done.stdout
    assert (tmp_path / "both.tsv").read_text() != (tmp_path / "out.tsv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("fedbrain.predict", "--workdir=WORK/none", "--bids=x", "--output=y"),
            "expected the work directory",
        ),
        (
            ("fedbrain.main", "--config=configs/brain_age.py", "--workdir=WORK"),
            "sites.camcan: expected the folder",
        ),
        (("fedbrain.synthesise", "--out=."), "expected a new or empty folder"),
        (("fedbrain.main", "--config=configs/quickstart.py", "--config.foo=1"), "no such field"),
        (("fedbrain.main", "--config=configs"), "got a folder"),
    ],
)
def test_mistakes_on_the_command_line_end_in_one_sentence(arguments, message, tmp_path):
    done = run_program(*(a.replace("WORK", str(tmp_path)) for a in arguments))
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_ends_a_process_in_one_sentence(tmp_path):
    line = [sys.executable, "-m", "fedbrain.main", "--config=configs/quickstart.py"]
    line += ["--config.model=sfcm()", f"--workdir={tmp_path}"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "Did you mean 'sfcn'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_diverged_training_is_not_sold_as_a_result(finished, tmp_path):
    c = config(finished[1], rounds=2)
    c.regimes = ("federated",)
    c.client.optimizer = "sgd(1e30)"
    with pytest.raises(ValueError, match=r"every round was skipped.*Lower the learning rate"):
        main.run(c, tmp_path / "run")
