"""Where training starts from: fresh variables, another experiment's model, or a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedbrain.experiments.saved_models import load_models
from fedbrain.models.files.weights import Loaded, fill, flatten, load
from fedbrain.types import Variables

# (fresh variables, repeat and inner split of the experiment) -> (variables, what was loaded)
Initial = Callable[[Variables, int, int], tuple[Variables, Loaded | None]]


def random() -> Initial:
    """Fresh variables, from the seed."""
    return lambda fresh, repeat, inner: (fresh, None)


def run(
    workdir: str,
    federation: str = "federated",
    client: str = "",
    split: str = "",
    head: bool = True,
) -> Initial:
    """The model of another experiment.

    Args:
      workdir: of that experiment.
      federation: federated, centralised, local-<client>.
      client: whose, for a federation that keeps private leaves.
      split: `repeat0-split0`; by default the one of the same number. When both experiments share
        people, only that keeps this experiment's test subjects out of the training of the other one
        (with `splits.stratify` a column of both).
      head: whether the last layer is taken too; otherwise it starts at zero.
    """

    def start(fresh: Variables, repeat: int, inner: int) -> tuple[Variables, Loaded]:
        name = split or f"repeat{repeat}-split{inner}"
        [(_, variables)] = load_models(
            Path(workdir), federation=federation, client=client, split=name
        )
        arrays = {n: np.asarray(a) for n, a in flatten(variables).items()}
        return fill(fresh, arrays, f"{workdir}/{federation}/{name}", head=head)

    return start


def from_file(path: str, head: bool = True) -> Initial:
    """A file: `.safetensors` of `fedbrain.export` or PyTorch, or `.pt`, `.pth` of PyTorch.

    Args:
      path: of the file.
      head: whether the last layer is taken too; otherwise it starts at zero.
    """
    return lambda fresh, repeat, inner: load(fresh, path, head=head)


INITIALS = {"random": random, "run": run, "file": from_file}
