"""Files that other programs write around the weights: read, or refused in one sentence."""

import pickle
import zipfile

import numpy as np
import pytest

from fedbrain.models.files.arrays_of_file import read_arrays
from fedbrain.models.files.names import match, without_wrappers
from fedbrain.models.files.torch_names import modern_name
from tests import torch_pickle
from tests.torch_pickle import call, dictionary, item, mapping, new

W = {
    "conv0.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "out.bias": np.ones(2, np.float32),
}


def _equal(arrays, wanted=W, prefix=""):
    assert {name for name in arrays if name.startswith(prefix)} == {prefix + n for n in wanted}
    for name, value in wanted.items():
        np.testing.assert_array_equal(arrays[prefix + name], value)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int64, np.int8])
def test_every_type_of_number(tmp_path, kind):
    tensors = {name: value.astype(kind) for name, value in W.items()}
    torch_pickle.write(tmp_path / "m.pt", tensors)
    arrays = read_arrays(tmp_path / "m.pt")
    _equal(arrays, tensors)
    assert arrays["out.bias"].dtype == kind


def test_bfloat16_becomes_float32_bit_for_bit(tmp_path):
    halves = {name: torch_pickle.bfloat16(value) for name, value in W.items()}
    torch_pickle.write(tmp_path / "m.pt", halves)
    arrays = read_arrays(tmp_path / "m.pt")
    _equal(arrays, {n: (h.astype(np.uint32) << 16).view(np.float32) for n, h in halves.items()})
    np.testing.assert_allclose(arrays["conv0.weight"], W["conv0.weight"], rtol=2**-7)


def _text(text):
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


BESIDE = {
    "epoch": b"K\x03",
    "loss": b"G" + np.float64(0.5).astype(">f8").tobytes(),
    "hyper_parameters": new("lightning_fabric.utilities.data", "AttributeDict"),
    "settings": new("argparse", "Namespace"),
    "path": call("pathlib", "PosixPath", _text("/data")),
    "counts": call("collections", "Counter", b"}"),
    "nothing": call("collections", "defaultdict", b"c__builtin__\nlist\n"),
    "best": call("numpy.core.multiarray", "scalar", _text("f8"), _text("12345678")),
    "device": call("torch", "device", _text("cpu")),
    "size": call("torch", "Size", b"(K\x02K\x03t"),
    "labels": call("__builtin__", "set", b"](K\x01K\x02e"),
    "type": b"ctorch\nfloat32\n",
    "optimizer": mapping(item("state", b"}"), item("groups", b"]")),
}


@pytest.mark.parametrize("extra", BESIDE)
def test_known_things_beside_the_weights_are_passed_over(tmp_path, extra):
    entries = (item(extra, BESIDE[extra]), item("state_dict", dictionary(W)))
    torch_pickle.write(tmp_path / "m.ckpt", W, mapping(*entries))
    _equal(read_arrays(tmp_path / "m.ckpt"), prefix="state_dict.")


@pytest.mark.parametrize(
    "code",
    [
        call("posix", "system", _text("true")),
        call("builtins", "eval", _text("1")),
        call("torch.hub", "load", _text("x")),
        new("__main__", "Settings"),
    ],
)
def test_unknown_things_beside_the_weights_are_refused(tmp_path, code):
    entries = (item("state_dict", dictionary(W)), item("extra", code))
    torch_pickle.write(tmp_path / "m.pt", W, mapping(*entries))
    with pytest.raises(ValueError, match=r"m.pt: expected .* got a call of .*state_dict\(\), FILE"):
        read_arrays(tmp_path / "m.pt")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_values_of_every_protocol(tmp_path, protocol):
    """Python's own pickler writes what stands beside the tensors."""
    beside = {"epoch": 3, "text": "ä" * 300, "many": list(range(300)), "b": b"x", "none": None}
    beside |= {"big": 2**80, "set": {1}, "frozen": frozenset([2]), "nested": {"a": (1, 2, 3, 4)}}
    code = pickle.dumps(beside, protocol)[2:-1]
    entries = (item("beside", code), item("model", dictionary(W)))
    torch_pickle.write(tmp_path / "m.pt", W, mapping(*entries))
    _equal(read_arrays(tmp_path / "m.pt"), prefix="model.")


def test_a_file_before_pytorch_1_6_and_one_that_is_cut(tmp_path):
    path = tmp_path / "m.pt"
    torch_pickle.write_legacy(path, W, mapping(item("net", dictionary(W))))
    _equal(read_arrays(path), prefix="net.")
    whole = path.read_bytes()
    for length in (len(whole) - 3, len(whole) // 2, 40, 0):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"m\.pt: .*damaged"):
            read_arrays(path)


def test_a_cut_or_flipped_archive_is_damaged(tmp_path):
    path = tmp_path / "m.pt"
    torch_pickle.write(path, W)
    whole = path.read_bytes()
    place = whole.index(W["conv0.weight"].tobytes())
    flipped = whole[: place + 5] + bytes([whole[place + 5] ^ 1]) + whole[place + 6 :]
    for content in (whole[:-9], whole[: len(whole) // 2], whole[:6], flipped):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"m\.pt: .*damaged.* Fetch it again"):
            read_arrays(path)


def test_a_tensor_cannot_fill_the_memory(tmp_path):
    numbers = np.zeros(1, np.float32)
    huge = np.lib.stride_tricks.as_strided(numbers, (1 << 30,), (0,))
    code = dictionary({"w": huge}).replace((1 << 30).to_bytes(4, "little"), b"\1\0\0\0", 1)
    torch_pickle.write(tmp_path / "m.pt", {"w": numbers}, code)
    with pytest.raises(ValueError, match="expected a tensor inside its storage of 1 numbers"):
        read_arrays(tmp_path / "m.pt")


def _archive(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")


OTHERS = {
    "a TorchScript program.*jit.load": ("m/data.pkl", "m/constants.pkl", "m/code/a.py"),
    "a program of torch.export": ("m/archive_format", "m/data/x"),
    "another ZIP archive. Unpack it and name models/model.pt": ("models/model.pt",),
}


@pytest.mark.parametrize("message", OTHERS)
def test_other_archives_are_named(tmp_path, message):
    _archive(tmp_path / "m.pt", *OTHERS[message])
    with pytest.raises(ValueError, match=rf"m\.pt: expected .* got {message}"):
        read_arrays(tmp_path / "m.pt")


def test_a_whole_module_is_named(tmp_path):
    code = new("monai.networks.nets.densenet", "DenseNet121")
    for whole in (code, mapping(item("epoch", b"K\x01"), item("model", code))):
        torch_pickle.write(tmp_path / "m.pt", {}, whole)
        with pytest.raises(ValueError, match=r"an object 'monai.*DenseNet121'.*state_dict\(\)"):
            read_arrays(tmp_path / "m.pt")
    torch_pickle.write_legacy(tmp_path / "m.pt", {}, b"(X\6\0\0\0moduleNNNtQ")
    with pytest.raises(ValueError, match=r"a whole module.*state_dict\(\)"):
        read_arrays(tmp_path / "m.pt")


CONTENT = {
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\n",
    "a web page": b"<!DOCTYPE html>",
    "an HDF5 file": b"\x89HDF\r\n",
    "a gzip file": b"\x1f\x8b\x08",
    "a tar archive": b"x" * 257 + b"ustar\0",
    "a plain pickle": pickle.dumps({"w": 1}),
    "damaged": b"",
}


@pytest.mark.parametrize("message", CONTENT)
def test_what_is_no_file_of_weights_is_named(tmp_path, message):
    (tmp_path / "m.pt").write_bytes(CONTENT[message])
    with pytest.raises(ValueError, match=rf"m\.pt: expected .*{message}"):
        read_arrays(tmp_path / "m.pt")


def test_folders_are_named(tmp_path):
    folder = tmp_path / "m.pt"
    (folder / "archive").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"m\.pt: .* got a folder. Name the file in it\."):
        read_arrays(folder)
    (folder / "archive/data.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match="torch.save that was unpacked"):
        read_arrays(folder)
    (folder / "__0_0.distcp").write_bytes(b"")
    with pytest.raises(ValueError, match="a sharded checkpoint.*dcp_to_torch_save"):
        read_arrays(folder)
    (folder / "runs").mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a work directory|the work directory.*run\("):
        read_arrays(folder)


PREFIXES = [
    "", "model.", "net.", "network.", "encoder.", "backbone.0.", "state_dict.", "weights.",
    "network_weights.", "params.", "state_dict.model.net.", "0.model_state_dict.lit.",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_frameworks(prefix):
    ours = {"a": "features.conv0.weight", "b": "class_layers.out.bias"}
    names = [prefix + name for name in ours.values()] + ["optimizer.state.0.exp_avg", "loss"]
    spelling, matched = match(names, [{"a": "params/a", "b": "params/b"}, ours], "")
    assert (spelling, matched) == (1, {k: prefix + name for k, name in ours.items()})


def test_parts_that_wrappers_add_and_old_names_of_layers():
    assert without_wrappers("module._orig_mod.model.module.w") == "model.w"
    new_name = "features.denseblock3.denselayer7.layers.conv2.weight"
    for old in ("denselayer7.conv.2", "denselayer7.conv2", "denselayer7.layers.conv.2"):
        assert modern_name(f"features.denseblock3.{old}.weight") == new_name
    assert modern_name(new_name) == new_name
    for last in ("classifier", "class_layers.class", "class_layers.out"):
        assert modern_name(f"model.{last}.bias") == "model.class_layers.out.bias"


def test_of_several_networks_one_is_chosen():
    ours = [{"a": "w.weight"}]
    two = ["student.w.weight", "teacher.w.weight"]
    with pytest.raises(ValueError, match=r"got 2, under 'student' and 'teacher'.*part='student'"):
        match(two, ours, "")
    assert match(two, ours, "teacher")[1] == {"a": "teacher.w.weight"}
    with pytest.raises(ValueError, match="begin with 'other'"):
        match(two, ours, "other")
    averaged = ["state_dict_ema.w.weight", "state_dict.w.weight"]  # the network itself is meant
    assert match(averaged, ours, "")[1] == {"a": "state_dict.w.weight"}
