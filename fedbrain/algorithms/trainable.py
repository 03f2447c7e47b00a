"""Grades of freezing: which layers train. What does not is neither trained nor sent, and its batch
norm stands still.

A network names its stages in the order of computation, `("conv0", "norm0", "block1", ..., "head")`;
a grade is a filter over leaves, like what is shared. Frozen layers keep the values that the
experiment starts from.
"""

from collections.abc import Sequence

from fedbrain.algorithms.leaves import LeafFilter, is_head


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


TRAINABLE = {"everything": everything, "only_head": only_head, "after": after}
