"""Variables in files: `.safetensors` under our names or PyTorch's, and PyTorch's own files."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fedbrain.models.files.torch_file import read_torch
from fedbrain.models.files.torch_names import from_torch, to_torch, torch_name
from fedbrain.types import Variables

HEADS = ("head/", "head_covariates/")  # may be missing in a file: a new task has a new last layer
OTHER_NETWORK = " Is it the file of another network?"


class Loaded(NamedTuple):
    """Which arrays of a file were used."""

    path: str
    loaded: list[str]  # our names
    renamed: dict[str, str]  # our name -> its name in the file
    missing: list[str]  # our names that start at zero: the prediction is the loss's centre
    left_over: list[str]  # names in the file that nothing needs

    def __str__(self) -> str:
        text = (
            f"{self.path}: {len(self.loaded)} arrays loaded, {len(self.renamed)} of them under"
            " another name"
        )
        for state, names in (
            ("start at zero", self.missing),
            ("of the file left over", self.left_over),
        ):
            if names:
                examples = ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
                text += f"; {len(names)} {state} ({examples})"
        return text + "."


def flatten(variables: Variables) -> dict[str, np.ndarray]:
    """Arrays by name: params/conv0/kernel, batch_stats/norm0/mean, ...

    >>> flatten({"params": {"head": {"bias": np.zeros(1)}}})
    {'params/head/bias': array([0.])}
    """
    leaves = jax.tree_util.tree_leaves_with_path(dict(variables))
    return {"/".join(str(p.key) for p in path): np.asarray(x) for path, x in leaves}


def _without_collection(name: str) -> str:
    """`params/head/bias` -> `head/bias`."""
    return name.split("/", 1)[1]


def _checked(
    value: np.ndarray, name: str, ours: str, expected: np.ndarray, path: str
) -> np.ndarray:
    """The array of a file in our type, when it has our shape and is finite."""
    if value.shape != expected.shape:
        is_head = _without_collection(ours).startswith(HEADS)
        hint = " Set head=False to start with a last layer of zeros." if is_head else OTHER_NETWORK
        raise ValueError(
            f"{path}: {name}: expected {list(expected.shape)} for {ours}, got"
            f" {list(value.shape)}.{hint}"
        )
    if not np.isfinite(value).all():
        raise ValueError(f"{path}: {name}: expected finite numbers, got some that are not.")
    return value.astype(expected.dtype)


def fill(
    variables: Variables, arrays: Mapping[str, np.ndarray], path: str, *, head: bool
) -> tuple[Variables, Loaded]:
    """The variables with the arrays of a file in their place.

    Args:
      variables: of the network, newly initialised.
      arrays: of the file, under our names or PyTorch's.
      path: of the file, for messages.
      head: whether the last layer comes from the file too; otherwise it starts at zero, as where
        the file has none. A random one would destroy learnt features by its first errors.

    Raises:
      ValueError: naming the first array that is missing or has another shape.
    """
    initial = flatten(variables)
    torch = not any(name in arrays for name in initial)
    names = {ours: torch_name(_without_collection(ours)) if torch else ours for ours in initial}
    filled = {}
    missing = []
    for ours, name in names.items():
        is_head = _without_collection(ours).startswith(HEADS)
        if is_head and (not head or name not in arrays):
            filled[ours] = np.zeros_like(initial[ours])
            missing.append(ours)
            continue
        if name not in arrays:
            near = next((n for n in arrays if n not in names.values()), "nothing else")
            raise ValueError(
                f"{path}: expected an array {name!r} for {ours}, got {near!r}.{OTHER_NETWORK}"
            )
        value = from_torch(ours, arrays[name]) if torch else arrays[name]
        filled[ours] = _checked(value, name, ours, initial[ours], path)
    loaded = [name for name in initial if name not in missing]
    renamed = {ours: names[ours] for ours in loaded if names[ours] != ours}
    left_over = sorted(set(arrays) - {names[ours] for ours in loaded})
    tree = jax.tree.unflatten(jax.tree.structure(dict(variables)), list(filled.values()))
    return tree, Loaded(path, loaded, renamed, missing, left_over)


def load(variables: Variables, path: str, *, head: bool) -> tuple[Variables, Loaded]:
    """Variables from a `.safetensors`, `.pt` or `.pth` file; arguments as `fill`."""
    if Path(path).suffix != ".safetensors":
        return fill(variables, read_torch(Path(path)), path, head=head)
    try:
        arrays = load_file(path)
    except (SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{path}: expected a .safetensors file, got: {error}.") from None
    arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    return fill(variables, arrays, path, head=head)


def save(variables: Variables, path: str, *, torch: bool) -> None:
    """Writes a `.safetensors` file.

    Args:
      variables: of the network.
      path: of the file.
      torch: names and layouts of PyTorch's DenseNet121, for `load_state_dict(load_file(path),
        strict=True)`.
    """
    arrays = flatten(variables)
    if torch:
        named = {_without_collection(name): value for name, value in arrays.items()}
        arrays = {torch_name(name): to_torch(name, value) for name, value in named.items()}
        means = [name for name in arrays if name.endswith("running_mean")]
        counters = [name.replace("running_mean", "num_batches_tracked") for name in means]
        arrays |= {name: np.zeros((), np.int64) for name in counters}
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)
