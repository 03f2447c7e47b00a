"""Variables in files of other programs: `.safetensors` under our names or PyTorch's, and PyTorch's
own files.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fedbrain.models.files.torch_file import read_torch
from fedbrain.models.files.torch_names import from_torch, to_torch, torch_name
from fedbrain.types import Variables

FRESH = (
    "head/",
    "head_covariates/",
)  # what a file may lack: a new task has a last layer of its own


class Loaded(NamedTuple):
    """What came out of a file."""

    path: str
    found: list[str]  # our names
    renamed: dict[str, str]  # our name -> its name in the file
    missing: list[str]  # our names that start at zero: the prediction is the loss's centre
    left_over: list[str]  # the file's names that nothing needs

    def __str__(self) -> str:
        text = (
            f"{self.path}: {len(self.found)} arrays loaded, {len(self.renamed)} of them under"
            " another name"
        )
        for what, names in (
            ("start at zero", self.missing),
            ("of the file left over", self.left_over),
        ):
            if names:
                text += (
                    f"; {len(names)} {what}"
                    f" ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
                )
        return text + "."


def flatten(variables: Variables) -> dict[str, np.ndarray]:
    """Arrays by name: params/conv0/kernel, batch_stats/norm0/mean, ..."""
    leaves = jax.tree_util.tree_leaves_with_path(dict(variables))
    return {"/".join(str(p.key) for p in path): np.asarray(x) for path, x in leaves}


def fill(
    variables: Variables, arrays: dict[str, np.ndarray], path: str, *, head: bool
) -> tuple[Variables, Loaded]:
    """The variables with the arrays of a file in their place.

    Args:
      variables: of the network, fresh.
      arrays: of the file, under our names or PyTorch's.
      path: of the file, for messages.
      head: whether the last layer comes from the file too; otherwise it starts at zero, as where
        the file has none.

    Raises:
      ValueError: naming the first array that is missing or has another shape.
    """
    wanted = flatten(variables)
    theirs = not any(name in arrays for name in wanted)
    names = {name: torch_name(name.split("/", 1)[1]) if theirs else name for name in wanted}
    filled, missing = {}, []
    for ours, name in names.items():
        fresh = ours.split("/", 1)[1].startswith(FRESH)
        if fresh and (not head or name not in arrays):
            filled[ours] = np.zeros_like(
                wanted[ours]
            )  # a random one would shake what was learnt with its first errors
            missing.append(ours)
            continue
        if name not in arrays:
            near = next((n for n in arrays if n not in names.values()), "nothing else")
            raise ValueError(
                f"{path}: expected an array {name!r} for {ours}, got {near!r}. Is it the file of"
                " another network?"
            )
        value = from_torch(ours, arrays[name]) if theirs else arrays[name]
        if value.shape != wanted[ours].shape:
            hint = (
                " Set head=False to start with a last layer of zeros."
                if fresh
                else " Is it the file of another network?"
            )
            raise ValueError(
                f"{path}: {name}: expected {list(wanted[ours].shape)} for {ours}, got"
                f" {list(value.shape)}.{hint}"
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{path}: {name}: expected finite numbers, got some that are not.")
        filled[ours] = value.astype(wanted[ours].dtype)
    structure = jax.tree.structure(dict(variables))
    found = [name for name in wanted if name not in missing]
    left_over = sorted(set(arrays) - {names[name] for name in found})
    renamed = {name: names[name] for name in found if names[name] != name}
    return jax.tree.unflatten(structure, list(filled.values())), Loaded(
        path, found, renamed, missing, left_over
    )


def load(variables: Variables, path: str, *, head: bool) -> tuple[Variables, Loaded]:
    """Variables from a `.safetensors`, `.pt` or `.pth` file."""
    if Path(path).suffix != ".safetensors":
        return fill(variables, read_torch(Path(path)), path, head=head)
    try:
        arrays = load_file(path)
    except (SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{path}: expected a .safetensors file, got: {error}.") from None
    return fill(
        variables, {n.removeprefix("module."): a for n, a in arrays.items()}, path, head=head
    )


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
        named = {name.split("/", 1)[1]: value for name, value in arrays.items()}
        arrays = {torch_name(name): to_torch(name, value) for name, value in named.items()}
        steps = [
            name.replace("running_mean", "num_batches_tracked")
            for name in arrays
            if name.endswith("running_mean")
        ]
        arrays |= {name: np.zeros((), np.int64) for name in steps}
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)
