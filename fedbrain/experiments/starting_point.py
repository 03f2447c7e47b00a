"""Where training starts from: fresh variables, another experiment's model, or a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedbrain.experiments.saved_models import load_models
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.stored_json import read_stored
from fedbrain.experiments.workdir import write_json
from fedbrain.models.files.weights import Loaded, fill, flatten, load
from fedbrain.models.low_rank import merged
from fedbrain.types import Variables

# (fresh variables, split of the experiment) -> (variables, what was loaded)
Initial = Callable[[Variables, SplitId], tuple[Variables, Loaded | None]]


def random() -> Initial:
    """Fresh variables, from the seed."""
    return lambda fresh, split_id: (fresh, None)


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

    def start(fresh: Variables, split_id: SplitId) -> tuple[Variables, Loaded]:
        name = split or split_id.name
        [(_, variables)] = load_models(
            Path(workdir).expanduser(), federation=federation, client=client, split=name
        )
        arrays = {n: np.asarray(a) for n, a in flatten(merged(variables)).items()}
        return fill(fresh, arrays, f"{workdir}/{federation}/{name}", head=head)

    return start


def from_file(path: str, head: bool = True, part: str = "") -> Initial:
    """A file: `.safetensors` of `fedbrain.export` or PyTorch, or `.pt`, `.pth`, `.ckpt` of PyTorch.

    Args:
      path: of the file; `~` is the home folder.
      head: whether the last layer is taken too; otherwise it starts at zero.
      part: prefix of the network's names in the file, where it holds several networks.
    """
    full = str(Path(path).expanduser())
    return lambda fresh, split_id: load(fresh, full, head=head, part=part)


INITIALS = {"random": random, "run": run, "file": from_file}


def record_starting_point(path: Path, loaded: Loaded, digest: str) -> None:
    """Records what training starts from.

    Args:
      path: of the record, `WORKDIR/initial/<split>.json`.
      loaded: where the model was loaded from.
      digest: SHA-256 of its variables.

    Raises:
      ValueError: when this run, now resumed, started from other numbers.
    """
    before = read_stored(path, "a starting point").get("sha256") if path.is_file() else None
    if before not in (None, digest):
        raise ValueError(
            f"{path.parent.parent}: started from {loaded.path}, which has been trained anew since. "
            "Choose another --workdir, or delete this one."
        )
    write_json(path, {**loaded._asdict(), "sha256": digest})
