"""Names and layouts of PyTorch's DenseNet121 (MONAI) and of ours. Needs numpy only."""

import re

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
