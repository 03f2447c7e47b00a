"""Weights of other programs: PyTorch without torch, safetensors, hostile files."""

import json
import os
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.models import MODELS
from fedbrain.models.files.arrays_of_file import read_arrays
from fedbrain.models.files.torch_file import read_torch
from fedbrain.models.files.torch_names import to_torch, torch_name
from fedbrain.models.files.weights import flatten, load, save
from tests import torch_pickle


@pytest.fixture(scope="module")
def network():
    """(module, fresh variables, other variables of the same network)."""
    module = MODELS["densenet121"]()
    shapes = jax.eval_shape(
        lambda: module.init(jax.random.key(0), jnp.zeros((1, 32, 32, 32, 1)), train=False)
    )
    rng = np.random.default_rng(0)
    draw = lambda x: rng.uniform(0.5, 1.5, x.shape).astype(np.float32)  # noqa: E731
    return (
        module,
        jax.tree.map(lambda x: np.zeros(x.shape, np.float32), shapes),
        jax.tree.map(draw, shapes),
    )


def _torch_state(variables, prefix=""):
    named = {name.split("/", 1)[1]: value for name, value in flatten(variables).items()}
    return {prefix + torch_name(name): to_torch(name, value) for name, value in named.items()}


def _equal(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_densenet_of_pytorch_is_read_without_torch(network, tmp_path, prefix):
    _, fresh, trained = network
    state = _torch_state(trained, prefix) | {
        f"{prefix}features.norm0.num_batches_tracked": np.asarray(7, np.int64)
    }
    torch_pickle.write(tmp_path / "model.pt", state)
    variables, report = load(fresh, str(tmp_path / "model.pt"), head=True)
    assert _equal(variables, trained)
    assert (len(report.loaded), len(report.renamed), report.missing) == (
        len(jax.tree.leaves(trained)),
    ) * 2 + ([],)
    assert report.left_over == ["features.norm0.num_batches_tracked"]
    assert "num_batches_tracked" in str(report)


def test_a_fresh_head(network, tmp_path):
    _, fresh, trained = network
    torch_pickle.write(tmp_path / "model.pt", _torch_state(trained))
    variables, report = load(fresh, str(tmp_path / "model.pt"), head=False)
    assert report.missing == ["params/head/bias", "params/head/kernel"]
    assert not variables["params"]["head"]["kernel"].any()
    assert _equal(variables["params"]["conv0"], trained["params"]["conv0"])


@pytest.mark.parametrize("torch", [True, False])
def test_there_and_back_by_safetensors(network, tmp_path, torch):
    _, fresh, trained = network
    path = str(tmp_path / "model.safetensors")
    save(trained, path, torch=torch)
    assert _equal(load(fresh, path, head=True)[0], trained)


HOSTILE = {
    "a call of a function": b"cos\nsystem\n(X\x04\x00\x00\x00trueetR",
    "a call hidden in a dictionary": (
        torch_pickle.dictionary({})
        + b"X\x01\x00\x00\x00acposix\nsystem\n(X\x06\x00\x00\x00touch atRs"
    ),
    "an object that builds itself": b"c__main__\nEvil\n)\x81",
    "an instruction of protocol 0": b"(S'touch hacked'\nios\nsystem\n",
    "a storage of another type": (
        b"(X\x07\x00\x00\x00storagecos\nsystem\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
    ),
    "nothing": b"N",
    "an empty stack": b"0u",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(tmp_path, monkeypatch, code):
    def ran(*args):
        raise AssertionError("something ran")

    monkeypatch.setattr(os, "system", ran)
    torch_pickle.write(tmp_path / "evil.pt", {}, code)
    with pytest.raises(ValueError, match=r"evil.pt: expected .*got") as error:
        read_torch(tmp_path / "evil.pt")
    assert len(str(error.value)) < 300


def test_a_tensor_outside_its_storage_is_refused(tmp_path):
    code = torch_pickle.dictionary({"w": np.zeros((2, 3), np.float32)})
    torch_pickle.write(tmp_path / "evil.pt", {"w": np.zeros(2, np.float32)}, code)
    with pytest.raises(ValueError, match="expected a tensor inside its storage of 2 numbers"):
        read_torch(tmp_path / "evil.pt")


def test_the_file_of_another_network_gets_a_sentence_that_names_the_first_difference(
    network, tmp_path
):
    _, fresh, trained = network
    state = _torch_state(trained)
    torch_pickle.write(tmp_path / "other.pt", {"stem.weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(
        ValueError,
        match="other.pt: expected an array 'features.*got 'stem.weight'. Is it the file of another",
    ):
        load(fresh, str(tmp_path / "other.pt"), head=True)
    state["class_layers.out.weight"] = np.zeros((2, 1024), np.float32)
    torch_pickle.write(tmp_path / "head.pt", state)
    with pytest.raises(
        ValueError,
        match=r"expected \[1024, 1\] for params/head/kernel, got \[1024, 2\]. Set head=False",
    ):
        load(fresh, str(tmp_path / "head.pt"), head=True)
    state["class_layers.out.weight"] = np.full((1, 1024), np.nan, np.float32)
    torch_pickle.write(tmp_path / "nan.pt", state)
    with pytest.raises(ValueError, match="expected finite numbers"):
        load(fresh, str(tmp_path / "nan.pt"), head=True)


@pytest.mark.parametrize("name", ["none.pt", "none.safetensors", "text.pt", "text.safetensors"])
def test_what_is_no_such_file(network, tmp_path, name):
    (tmp_path / f"text{name[4:]}").write_text("hello")
    with pytest.raises(ValueError, match=f"{name}: expected a"):
        load(network[1], str(tmp_path / name), head=True)


def test_a_safetensors_file_that_is_cut_or_flipped_is_damaged(network, tmp_path):
    path = tmp_path / "model.safetensors"
    save({"params": {"head": {"bias": np.arange(4, dtype=np.float32)}}}, str(path), torch=False)
    whole = path.read_bytes()
    flipped = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
    for content in (whole[:-2], whole[:20], whole[:3], b"", flipped):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.safetensors: .*damaged.*Fetch it again"):
            load(network[1], str(path), head=True)


def _raw_safetensors(path, dtype, raw):
    entry = {"w": {"dtype": dtype, "shape": [2], "data_offsets": [0, len(raw)]}}
    header = json.dumps(entry).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw)


def test_types_of_numbers_in_safetensors(tmp_path):
    path = tmp_path / "m.safetensors"
    halves = torch_pickle.bfloat16(np.float32([1.5, -3]))
    _raw_safetensors(path, "BF16", halves.tobytes())
    np.testing.assert_array_equal(read_arrays(path)["w"], np.float32([1.5, -3]))
    for dtype in ("F8_E4M3", "F8_E5M2"):
        _raw_safetensors(path, dtype, b"\x38\x38")
        with pytest.raises(ValueError, match=rf"m\.safetensors: w: .* got {dtype}\. Convert"):
            read_arrays(path)


def test_the_ending_of_a_file_does_not_say_what_it_is(tmp_path):
    save({"params": {"b": np.ones(2, np.float32)}}, str(tmp_path / "m.safetensors"), torch=False)
    (tmp_path / "m.safetensors").rename(tmp_path / "m.pt")
    assert list(read_arrays(tmp_path / "m.pt")) == ["params/b"]
    torch_pickle.write(tmp_path / "n.safetensors", {"w": np.ones(2, np.float32)})
    assert list(read_arrays(tmp_path / "n.safetensors")) == ["w"]


def test_integers_in_place_of_weights_are_refused(network, tmp_path):
    state = {n: v.astype(np.int8) for n, v in _torch_state(network[2]).items()}
    torch_pickle.write(tmp_path / "int8.pt", state)
    with pytest.raises(ValueError, match="floating-point numbers, got int8 .quantised"):
        load(network[1], str(tmp_path / "int8.pt"), head=True)


def test_a_checkpoint_of_a_trainer_in_bfloat16_with_old_names(network, tmp_path):
    """Everything at once: prefix, dictionary, type of numbers, names of old versions."""
    _, fresh, trained = network
    state = {
        "net." + re.sub(r"layers\.(norm|conv)(\d)", r"\1.\2", n): torch_pickle.bfloat16(v)
        for n, v in _torch_state(trained).items()
    }
    code = torch_pickle.mapping(
        torch_pickle.item("epoch", b"K\x03"),
        torch_pickle.item("network_weights", torch_pickle.dictionary(state)),
    )
    torch_pickle.write(tmp_path / "m.ckpt", state, code)
    variables, report = load(fresh, str(tmp_path / "m.ckpt"), head=True)
    for ours, theirs in zip(jax.tree.leaves(variables), jax.tree.leaves(trained), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2**-7)
    assert (report.missing, report.left_over) == ([], [])


def test_what_is_not_written(network, tmp_path):
    with pytest.raises(ValueError, match=r"expected FILE\.safetensors, .* got model\.pt\."):
        save(network[2], "model.pt", torch=False)
    for model, path in (("adapted_sfcn", "conv1"), ("densenet121", "GroupNorm_0")):
        module = MODELS[model](norm="group")
        init = partial(module.init, train=False)
        shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 32, 32, 32, 1)))
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
        with pytest.raises(ValueError, match=rf"--torch: .* got a network with '.*{path}.*'"):
            save(zeros, str(tmp_path / "m.safetensors"), torch=True)
    assert not list(tmp_path.iterdir())
