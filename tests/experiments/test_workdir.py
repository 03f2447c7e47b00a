"""A work directory: when it is claimed, what made it, and how a run in it gets more rounds."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from absl import flags

from fedbrain import main
from fedbrain.experiments import experiment as experiment_module
from fedbrain.experiments.made_by import recorded
from fedbrain.experiments.workdir import claim
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")
RUN = Path("runs/federated/repeat0-split0")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished experiment of three rounds: (work directory, cache)."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    folder = tmp_path_factory.mktemp("workdir")
    main.run(config(folder / "cache", rounds=3, regimes=("federated",)), folder / "run")
    return folder / "run", folder / "cache"


def _config(cache, rounds=3, **fields):
    c = config(cache, rounds=rounds, regimes=("federated",))
    for name, value in fields.items():
        c[name] = value
    return c


def _history(workdir):
    text = (workdir / RUN / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(line.pop("seconds") > 0 for line in lines)
    return lines


REFUSED = {
    "config.initial": {"initial": "fiel('x.pt')"},
    "none.pt: expected a file": {"initial": "file('none.pt')"},
    "nowhere: expected the work directory": {"initial": "run('nowhere')"},
    "config.baselines": {"baselines": ("linaer('age')",)},
    "config.report_by: expected a column": {"report_by": ("classes('sxe', 0, 1)",)},
    "config.model": {"model": "sfcm()"},
    "sfcn: expected every image axis": {"model": "sfcn()"},
    "config.target": {"target": "rwa()"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_run_that_is_refused_leaves_no_work_directory(finished, tmp_path, message):
    with pytest.raises(ValueError, match=message):
        main.run(_config(finished[1], **REFUSED[message]), tmp_path / "runs/new")
    assert list(tmp_path.iterdir()) == []


def test_a_split_that_cannot_be_made_leaves_no_work_directory(finished, tmp_path):
    c = _config(finished[1], sites={"amber": "synthetic('amber', subjects=2)"})
    with pytest.raises(ValueError, match="amber: "):
        main.run(c, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_folder_of_another_experiment_gets_no_lock(tmp_path):
    with claim(tmp_path, {"config": {"seed": 0}}):
        pass
    (tmp_path / ".lock").unlink()
    with (
        pytest.raises(ValueError, match="another experiment"),
        claim(tmp_path, {"config": {"seed": 1}}),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_copy_without_manifests_is_refused_and_keeps_its_steps(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy, ignore=shutil.ignore_patterns("manifests", "results.json"))
    steps = {str(p): p.stat().st_mtime_ns for p in (copy / RUN / "checkpoints").rglob("*")}
    for _ in range(2):
        with pytest.raises(ValueError, match=r"expected a manifest for the steps 2, 3.* a copy"):
            main.run(_config(finished[1]), copy)
        now = {p: s for p, s in ((str(p), p.stat()) for p in Path(copy / RUN).rglob("*"))}
        assert {p: now[p].st_mtime_ns for p in steps} == steps
        (copy / RUN / "checkpoints/manifests").mkdir(exist_ok=True)  # copied, but empty
        steps = {str(p): p.stat().st_mtime_ns for p in (copy / RUN / "checkpoints").rglob("*")}


def test_results_say_what_made_them(finished):
    [entry] = json.loads((finished[0] / "made_by.json").read_text())["processes"]
    assert entry["outcome"] == "finished"
    assert entry["started"] <= entry["ended"]
    assert entry["seconds"] > 0
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", entry["commit"] or "0" * 40)
    assert entry["command"] == shlex.join(sys.orig_argv)
    assert {"jax", "jaxlib", "fedbrain", "device", "python"} <= set(entry)
    assert _history(finished[0])


def test_every_process_has_its_entry_and_how_it_ended(tmp_path):
    for error in (KeyboardInterrupt, ValueError, None):
        try:
            with recorded(tmp_path):
                now = json.loads((tmp_path / "made_by.json").read_text())["processes"][-1]
                assert (now["ended"], now["outcome"]) == (None, None)
                if error:
                    raise error
        except (KeyboardInterrupt, ValueError):
            pass
    entries = json.loads((tmp_path / "made_by.json").read_text())["processes"]
    assert [entry["outcome"] for entry in entries] == ["interrupted", "failed", "finished"]


def test_more_rounds_give_the_bits_of_a_run_that_had_them_from_the_start(finished, tmp_path):
    workdir, cache = finished
    short = tmp_path / "short"
    main.run(_config(cache, rounds=1), short)
    first = (short / "results.json").read_bytes()
    with pytest.raises(ValueError, match=r"rounds: 1 -> 3\).*add rounds to this one by --extend"):
        main.run(_config(cache), short)
    main.run(_config(cache), short, more_rounds=True)
    assert (short / "results.json").read_bytes() == (workdir / "results.json").read_bytes()
    assert (short / "results_1_rounds.json").read_bytes() == first
    assert (short / "config.json").read_bytes() == (workdir / "config.json").read_bytes()
    assert _history(short) == _history(workdir)
    main.run(_config(cache), short, more_rounds=True)  # nothing is left to do


def test_what_cannot_be_extended(finished, tmp_path, monkeypatch):
    workdir, cache = finished
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*")}
    monkeypatch.setattr(experiment_module, "claim", lambda *args: pytest.fail("claimed"))
    cases = {
        r"expected config.rounds >= 3, got 2": (workdir, _config(cache, rounds=2)),
        r"alone, got config.seed: 0 -> 1.*run\('": (workdir, _config(cache, rounds=4, seed=1)),
        "expected the work directory of a run, got none": (tmp_path / "no", _config(cache)),
    }
    for message, (folder, c) in cases.items():
        with pytest.raises(ValueError, match=message):
            main.run(c, folder, more_rounds=True)
    assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*")} == before
    assert not (tmp_path / "no").exists()


def test_a_schedule_over_all_rounds_is_not_extended(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    identity = json.loads((copy / "config.json").read_text())
    identity["config"]["schedule"] = "cosine()"
    (copy / "config.json").write_text(json.dumps(identity))
    with pytest.raises(ValueError, match=r"config.schedule is spread over all rounds.*run\("):
        main.run(_config(finished[1], rounds=4, schedule="cosine()"), copy, more_rounds=True)
    assert json.loads((copy / "config.json").read_text())["config"]["rounds"] == 3
