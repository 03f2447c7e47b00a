"""Grades of freezing: which layers train. What does not is neither trained nor sent, and its batch
norm stands still.

A network names its stages in the order of computation, `("conv0", "norm0", "block1", ..., "head")`;
a grade is a filter over leaves, like what is shared. Frozen layers keep the values that the
experiment starts from.

A change of low rank is a grade too: kernels stand still, and factors beside them train.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fedbrain.algorithms.leaves import LeafFilter, is_head
from fedbrain.models.low_rank import FACTORS, UP


def stage_of(path: str, stages: Sequence[str]) -> str | None:
    """The stage that a leaf belongs to: `block1` for `block1_layer2_conv1/kernel`; None for none of
    them.

    >>> stage_of("block1_layer2_conv1/kernel", ("conv0", "block1", "head"))
    'block1'
    """
    layer = path.split("/", 1)[0]
    return next((s for s in stages if layer == s or layer.startswith(f"{s}_")), None)


def everything(stages: Sequence[str]) -> LeafFilter:
    """All layers train: deep transfer, or training from scratch.

    >>> everything(("conv0", "head"))("params", "conv0/kernel")
    True
    """
    del stages
    return lambda collection, path: True


def only_head(stages: Sequence[str]) -> LeafFilter:
    """The last layer trains: shallow transfer.

    >>> only_head(("conv0", "head"))("params", "conv0/kernel")
    False
    """
    del stages
    return lambda collection, path: is_head(path)


def after(stage: str, stages: Sequence[str]) -> LeafFilter:
    """Layers after a stage train.

    Args:
      stage: the last one that is frozen: `transition3`, `conv4`.
      stages: of the network; set by the program.

    >>> trains = after("conv0", ("conv0", "conv1", "head"))
    >>> trains("params", "conv0/kernel"), trains("params", "conv1/kernel")
    (False, True)
    """
    if stage not in stages[:-1]:
        raise ValueError(
            f"Expected a stage of the network before its head, {', '.join(stages[:-1])}, got"
            f" {stage!r}."
        )
    frozen = set(stages[: stages.index(stage) + 1])
    return lambda collection, path: stage_of(path, stages) not in frozen


class Factors(NamedTuple):
    """A filter: the last layer, and factors beside the kernels of the others.

    >>> trains = Factors(4, FACTORS)
    >>> trains("params", "conv1/kernel_up"), trains("params", "conv1/kernel")
    (True, False)
    """

    rank: int  # of the change of a kernel
    trained: tuple[str, ...]  # names of the factors that train

    def __call__(self, collection: str, path: str, /) -> bool:
        """Whether the leaf trains."""
        return is_head(path) or path.rsplit("/", 1)[-1] in self.trained


def low_rank(rank: int, stages: Sequence[str]) -> LeafFilter:
    """The last layer trains, and a change A B of every other kernel: LoRA.

    The server's mean of A and that of B are not the mean of A B; `low_rank_up` has no such error.

    Args:
      rank: of the change; an input and an output channel cost so many numbers each.
      stages: of the network; set by the program.

    References:
      Hu et al. (2022), https://arxiv.org/abs/2106.09685

    >>> low_rank(4, ("conv0", "head"))("params", "conv0/kernel_down")
    True
    """
    del stages  # all of them
    return Factors(_positive(rank), FACTORS)


def low_rank_up(rank: int, stages: Sequence[str]) -> LeafFilter:
    """As `low_rank`, where A keeps its random start and B alone trains: what the server averages is
    the change itself, and half as much is sent.

    Args:
      rank: of the change.
      stages: of the network; set by the program.

    References:
      Sun et al. (2024), https://arxiv.org/abs/2403.12313

    >>> low_rank_up(4, ("conv0", "head"))("params", "conv0/kernel_down")
    False
    """
    del stages  # all of them
    return Factors(_positive(rank), (UP,))


def _positive(rank: int) -> int:
    if rank < 1:
        raise ValueError(f"Expected rank={rank} >= 1.")
    return rank


TRAINABLE = {
    "everything": everything,
    "only_head": only_head,
    "after": after,
    "low_rank": low_rank,
    "low_rank_up": low_rank_up,
}
