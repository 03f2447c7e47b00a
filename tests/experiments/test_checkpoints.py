"""Checkpoints: what was saved comes back bit for bit, and what was not is noticed."""

import random
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.data.whole_file import write_whole
from fedbrain.experiments import read_checkpoints
from fedbrain.experiments.checkpoints import Checkpoints, tree_digest
from fedbrain.experiments.read_checkpoints import read_newest
from fedbrain.experiments.workdir import MetricsLog, claim, differences
from fedbrain.training.selection import start
from tests import tiny


@cache
def _variables():
    variables = tiny.variables(tiny.task())
    return variables, optax.adam(1e-3).init(variables["params"])


def _tree(step=0):
    variables, moments = _variables()
    half = jnp.full((3,), step, jnp.bfloat16)
    return {
        "variables": variables,
        "opt": moments,
        "selection": start(),
        "half": half,
        "private": None,
        "n": np.asarray(step),
    }


def _save(folder, steps, keep=3):
    checkpoints = Checkpoints(folder, keep=keep)
    for step in steps:
        checkpoints.save(step, _tree(step))
    checkpoints.close()


def _restore(folder):
    checkpoints = Checkpoints(folder, keep=3)
    try:
        return checkpoints.restore_latest(_tree())
    finally:
        checkpoints.close()


def test_round_trip_is_bit_equal_and_old_steps_go(tmp_path):
    _save(tmp_path, range(1, 6))
    step, tree = _restore(tmp_path)
    assert step == 5
    assert tree_digest(tree) == tree_digest(_tree(5))
    assert jax.tree.structure(tree) == jax.tree.structure(_tree(5))
    assert sorted(p.stem for p in (tmp_path / "manifests").glob("*.json")) == ["3", "4", "5"]


def test_nothing_there(tmp_path):
    assert _restore(tmp_path) is None


def _files(tmp_path, step):
    return sorted(
        (
            p
            for p in (tmp_path / "steps" / str(step)).rglob("*")
            if p.is_file() and p.stat().st_size
        ),
        key=str,
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_anywhere_is_noticed_and_the_step_before_used(tmp_path, seed):
    _save(tmp_path, [1, 2])
    rng = random.Random(seed)
    path = rng.choices(_files(tmp_path, 2), [p.stat().st_size for p in _files(tmp_path, 2)])[0]
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))
    step, tree = _restore(tmp_path)
    assert step == 1
    assert tree_digest(tree) == tree_digest(_tree(1))
    _save(tmp_path, [2])  # the round is run again
    assert _restore(tmp_path)[0] == 2


@pytest.mark.parametrize(
    "damage", ["no manifest", "half a manifest", "missing file", "extra file", "all steps"]
)
def test_damage_falls_back(tmp_path, damage):
    _save(tmp_path, [1, 2])
    manifest = tmp_path / "manifests/2.json"
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "half a manifest":
        manifest.write_text(manifest.read_text()[:50])
    elif damage == "missing file":
        _files(tmp_path, 2)[0].unlink()
    elif damage == "extra file":
        (tmp_path / "steps/2/extra").write_text("x")
    else:
        for step in (1, 2):
            _files(tmp_path, step)[-1].write_bytes(b"")
    restored = _restore(tmp_path)
    assert restored is None if damage == "all steps" else restored[0] == 1


def _listing(folder):
    """Name -> (size, time of the last change) of every file and folder."""
    stats = {str(p.relative_to(folder)): p.stat() for p in folder.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


@pytest.mark.parametrize("damage", ["nothing", "unfinished", "no manifest", "a flipped bit"])
def test_reading_takes_the_newest_whole_step_and_changes_no_file(tmp_path, caplog, damage):
    _save(tmp_path, [1, 2])
    if damage == "unfinished":  # as of a run in training
        (tmp_path / "steps/3.orbax-checkpoint-tmp").mkdir()
        (tmp_path / "steps/3.orbax-checkpoint-tmp/part").write_bytes(b"x")
    elif damage == "no manifest":
        (tmp_path / "manifests/2.json").unlink()
    elif damage == "a flipped bit":
        path = _files(tmp_path, 2)[-1]
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    before = _listing(tmp_path)
    step = 2 if damage in ("nothing", "unfinished") else 1
    assert tree_digest(read_newest(tmp_path, _tree())) == tree_digest(_tree(step))
    assert ("checkpoint 2 of" in caplog.text) == (step == 1)
    assert _listing(tmp_path) == before


def test_a_copy_without_manifests_is_refused_and_left_as_it_is(tmp_path):
    _save(tmp_path, [1, 2])
    for path in (tmp_path / "manifests").iterdir():
        path.unlink()
    (tmp_path / "manifests").rmdir()
    before = _listing(tmp_path)
    with pytest.raises(ValueError, match=r"that verifies, got none among 1, 2\. If .* a copy"):
        read_newest(tmp_path, _tree())
    with pytest.raises(ValueError, match=r"that verifies, got none\. If"):
        read_newest(tmp_path / "nowhere", _tree())
    assert _listing(tmp_path) == before


def test_a_step_that_a_run_deletes_while_it_is_read_is_not_used(tmp_path, monkeypatch):
    _save(tmp_path, [1])

    def saving(folder, step, template):
        monkeypatch.undo()
        _save(tmp_path, [2, 3], keep=2)  # deletes step 1
        raise FileNotFoundError("a file of step 1")

    monkeypatch.setattr(read_checkpoints, "_read", saving)
    assert tree_digest(read_newest(tmp_path, _tree())) == tree_digest(_tree(3))


def test_another_model_is_refused_in_reading(tmp_path):
    _save(tmp_path, [1])
    with pytest.raises(ValueError, match=r"half.*float32\[3\], got .*bfloat16\[3\]"):
        read_newest(tmp_path, _tree() | {"half": jnp.zeros(3, jnp.float32)})


def test_another_model_is_refused_and_not_cast(tmp_path):
    _save(tmp_path, [1])
    checkpoints = Checkpoints(tmp_path, keep=3)
    other = _tree() | {"half": jnp.zeros(3, jnp.float32)}
    with pytest.raises(ValueError, match=r"half.*float32\[3\], got .*bfloat16\[3\]"):
        checkpoints.restore_latest(other)
    with pytest.raises(ValueError, match="arrays, got"):
        checkpoints.restore_latest(_tree() | {"zz": np.zeros(1)})
    checkpoints.close()


def test_digest_sees_names_types_and_bits():
    tree = {"a": np.float32([1, 2])}
    others = [
        {"b": tree["a"]},
        {"a": np.float32([1, 3])},
        {"a": np.float64([1, 2])},
        {"a": np.float32([[1, 2]])},
    ]
    assert len({tree_digest(t) for t in [tree, *others]}) == 5


def test_atomic_write_leaves_one_file(tmp_path):
    for text in ("one", "two"):
        write_whole(tmp_path / "f", text)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["two"]


def test_metrics_of_lost_rounds_are_taken_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, rounds=0)
    for round in (1, 2, 3):
        log.write({"round": round, "loss": np.float32(round), "bad": float("nan")})
    with path.open("a") as file:
        file.write('{"round": 4, "lo')
    assert [line["round"] for line in MetricsLog.read(path)] == [1, 2, 3]
    MetricsLog(path, rounds=2)
    assert MetricsLog.read(path) == [{"round": r, "loss": float(r), "bad": None} for r in (1, 2)]


def test_a_work_directory_holds_one_experiment_and_one_process(tmp_path):
    same = {"config": {"seed": 0, "x": (1, 2)}}
    with (
        claim(tmp_path, same),
        pytest.raises(ValueError, match="another process is at work"),
        claim(tmp_path, same),
    ):
        pass
    with claim(tmp_path, same):
        pass
    other = {"config": {"seed": 1, "x": (1, 2)}}
    with (
        pytest.raises(ValueError, match=r"another experiment \(config.seed: 0 -> 1\)"),
        claim(tmp_path, other),
    ):
        pass
    assert differences({"a": 1}, {"b": 2}) == ["a: 1 -> None", "b: None -> 2"]
