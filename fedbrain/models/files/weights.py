"""Variables in files: `.safetensors` under our names or PyTorch's, and PyTorch's own files."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from fedbrain.models.files.arrays_of_file import read_arrays
from fedbrain.models.files.instructions import Unreadable
from fedbrain.models.files.names import match, without_wrappers
from fedbrain.models.files.safetensors_file import write_safetensors
from fedbrain.models.files.torch_names import (
    from_torch,
    require_torch_names,
    to_torch,
    torch_name,
)
from fedbrain.models.low_rank import FACTORS
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
    fresh: tuple[str, ...] = ()  # our names of factors of low rank, which start anew

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
        factors = f"; {len(self.fresh)} factors of low rank start anew" if self.fresh else ""
        return f"{text}{factors}."


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
    """The array of a file in our type, when it has our shape and holds finite numbers."""
    if value.shape != expected.shape:
        is_head = _without_collection(ours).startswith(HEADS)
        hint = " Set head=False to start with a last layer of zeros." if is_head else OTHER_NETWORK
        raise ValueError(
            f"{path}: {name}: expected {list(expected.shape)} for {ours}, got"
            f" {list(value.shape)}.{hint}"
        )
    if not np.issubdtype(value.dtype, np.floating):
        raise ValueError(
            f"{path}: {name}: expected floating-point numbers, got {value.dtype} (quantised?)."
            " Convert the file to float32 with the program that wrote it."
        )
    if not np.isfinite(value).all():
        raise ValueError(f"{path}: {name}: expected finite numbers, got some that are not.")
    return value.astype(expected.dtype)


def _spellings(initial: Mapping[str, np.ndarray]) -> list[dict[str, str]]:
    """Our name -> name in a file: as we write it, as PyTorch does, and for the layers alone."""
    torch = {ours: torch_name(_without_collection(ours)) for ours in initial}
    bare = {ours: name.removeprefix("features.") for ours, name in torch.items()}
    return [{ours: ours for ours in initial}, torch, bare]


def _find(
    initial: Mapping[str, np.ndarray], names: list[str], path: str, part: str
) -> tuple[bool, dict[str, str]]:
    """(whether layouts are PyTorch's, our name -> name in the file)."""
    if not names:
        raise ValueError(f"{path}: expected arrays, got none.")
    try:
        spelling, found = match(names, _spellings(initial), part)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return spelling > 0, found


def fill(
    variables: Variables,
    arrays: Mapping[str, np.ndarray],
    path: str,
    *,
    head: bool,
    part: str = "",
) -> tuple[Variables, Loaded]:
    """The variables with the arrays of a file in their place.

    Args:
      variables: of the network, newly initialised.
      arrays: of the file, under our names or PyTorch's, perhaps behind a prefix.
      path: of the file, for messages.
      head: whether the last layer comes from the file too; otherwise it starts at zero, as where
        the file has none. A random one would destroy learnt features by its first errors.
      part: prefix of the network in the file; empty: where most names fit.

    Raises:
      ValueError: naming the first array that is missing or has another shape.
    """
    initial = flatten(variables)
    short = {without_wrappers(name): name for name in arrays}
    torch, names = _find(initial, list(short), path, without_wrappers(part))
    filled, missing, fresh = {}, [], []
    for ours, name in names.items():
        if name not in short and ours.endswith(FACTORS):
            filled[ours] = initial[ours]
            fresh.append(ours)
            continue
        is_head = _without_collection(ours).startswith(HEADS)
        if is_head and (not head or name not in short):
            filled[ours] = np.zeros_like(initial[ours])
            missing.append(ours)
            continue
        if name not in short:
            near = next((n for n in short if n not in names.values()), "nothing else")
            raise ValueError(
                f"{path}: expected an array {name!r} for {ours}, got {near!r}.{OTHER_NETWORK}"
            )
        value = arrays[short[name]]
        value = from_torch(ours, value) if torch else value
        filled[ours] = _checked(value, name, ours, initial[ours], path)
    loaded = [name for name in initial if name not in missing and name not in fresh]
    renamed = {ours: names[ours] for ours in loaded if names[ours] != ours}
    left_over = sorted(set(short) - {names[ours] for ours in loaded})
    tree = jax.tree.unflatten(jax.tree.structure(dict(variables)), list(filled.values()))
    return tree, Loaded(path, loaded, renamed, missing, left_over, tuple(fresh))


def load(
    variables: Variables, path: str, *, head: bool, part: str = ""
) -> tuple[Variables, Loaded]:
    """Variables from a file of PyTorch or a `.safetensors` file; arguments as `fill`."""
    try:
        return fill(variables, read_arrays(Path(path)), path, head=head, part=part)
    except Unreadable as error:  # of a tensor, which is made when it is asked for
        raise ValueError(f"{path}: {error}.") from None


def save(
    variables: Variables, path: str, *, torch: bool, description: Mapping[str, str] | None = None
) -> None:
    """Writes a `.safetensors` file.

    Args:
      variables: of the network.
      path: of the file, which ends in `.safetensors`.
      torch: names and layouts of PyTorch's DenseNet121, for `load_state_dict(load_file(path),
        strict=True)`.
      description: what the file says about itself.

    Raises:
      ValueError: for another ending, or a network that MONAI does not have under these names.
    """
    require_ending(path)
    arrays = flatten(variables)
    if torch:
        named = {_without_collection(name): value for name, value in arrays.items()}
        require_torch_names(named)
        arrays = {torch_name(name): to_torch(name, value) for name, value in named.items()}
        means = [name for name in arrays if name.endswith("running_mean")]
        counters = [name.replace("running_mean", "num_batches_tracked") for name in means]
        arrays |= {name: np.zeros((), np.int64) for name in counters}
    write_safetensors(Path(path), arrays, description or {})


def require_ending(path: str) -> None:
    """Raises ValueError for a file that is not called `.safetensors`.

    Args:
      path: of the file to write.
    """
    if Path(path).suffix != ".safetensors":
        raise ValueError(
            f"--output: expected FILE.safetensors, the only kind that is written, got {path}."
            " PyTorch reads it by load_file of safetensors.torch."
        )
