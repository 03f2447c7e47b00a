"""Names and layouts of PyTorch's DenseNet121 (MONAI) and of ours. Needs numpy only."""

import re
from collections.abc import Iterable

import numpy as np

LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def torch_name(name: str) -> str:
    """The name in MONAI's DenseNet121 of a leaf of ours, such as `block1_layer2_conv1/kernel`.

    >>> torch_name("block1_layer2_norm1/mean")
    'features.denseblock1.denselayer2.layers.norm1.running_mean'
    """
    path, leaf = name.rsplit("/", 1)
    leaf = LEAVES.get(leaf, leaf)
    if path == "head":
        return f"class_layers.out.{leaf}"
    path = re.sub(r"^block(\d+)_layer(\d+)_", r"denseblock\1.denselayer\2.layers.", path)
    path = re.sub(r"^transition(\d+)_", r"transition\1.", path)
    return f"features.{path}.{leaf}"


def modern_name(name: str) -> str:
    """The present name of a layer in MONAI, from that of MONAI before 0.5 or of torchvision.

    >>> modern_name("features.denseblock1.denselayer2.norm.1.weight")
    'features.denseblock1.denselayer2.layers.norm1.weight'
    >>> modern_name("classifier.bias")
    'class_layers.out.bias'
    """
    name = re.sub(r"(denselayer\d+)\.(?:layers\.)?(norm|conv)\.?([12])\.", r"\1.layers.\2\3.", name)
    last = r"(^|\.)(?:class_layers\.(?:out|class)|classifier)\.(weight|bias)$"
    return re.sub(last, r"\1class_layers.out.\2", name)


DENSE = r"denseblock\d+\.denselayer\d+\.layers\.(norm|conv)[12]"
LAYERS = rf"conv0|norm[05]|transition\d+\.(norm|conv)|{DENSE}"
LEAF = r"(weight|bias|running_mean|running_var)"


def require_torch_names(names: Iterable[str]) -> None:
    """Raises ValueError when MONAI's DenseNet121 does not have the layers of this network.

    Args:
      names: of our leaves, such as `conv0/kernel`.
    """
    for name in names:
        other = torch_name(name)
        if not re.fullmatch(rf"features\.({LAYERS})\.{LEAF}|class_layers\.out\.{LEAF}", other):
            raise ValueError(
                "--torch: expected a densenet121 with batch norm and without covariates, which"
                f" MONAI has too, got a network with {name!r}. Export it without --torch."
            )


def to_torch(name: str, value: np.ndarray) -> np.ndarray:
    """Our layout to PyTorch's: kernels [d h w i o] or [i o] to [o i d h w] or [o i].

    >>> to_torch("conv0/kernel", np.zeros((7, 7, 7, 1, 64))).shape
    (64, 1, 7, 7, 7)
    """
    if not name.endswith("/kernel"):
        return value
    if value.ndim == 5:
        return np.ascontiguousarray(value.transpose(4, 3, 0, 1, 2))
    kernel = np.ascontiguousarray(value.T)
    return kernel if name.startswith("head/") else kernel[:, :, None, None, None]


def from_torch(name: str, value: np.ndarray) -> np.ndarray:
    """The inverse of `to_torch`."""
    if not name.endswith("/kernel"):
        return value
    if value.ndim == 5 and value.shape[2:] == (1, 1, 1):
        return value[:, :, 0, 0, 0].T
    return value.transpose(2, 3, 4, 1, 0) if value.ndim == 5 else value.T
