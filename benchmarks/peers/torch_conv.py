"""The same layer in PyTorch. Task: as fedbrain_conv, and "layout"."""

import torch
from torch import nn

from benchmarks.paired import serve


def layer_of(task: dict) -> nn.Module:
    """The layer."""
    c, o, k, stride = task["in"], task["out"], task["kernel"], task["stride"]
    if task["layer"] == "conv":
        return nn.Conv3d(c, o, k, stride=stride, padding=k // 2, bias=False)
    if task["layer"] == "norm":
        return nn.Sequential(nn.BatchNorm3d(c), nn.ReLU())
    if task["layer"] == "max pool":
        return nn.MaxPool3d(k, stride, padding=k // 2 if k > stride else 0)
    return nn.AvgPool3d(k, stride)


def set_up(task: dict):
    """A lap is `repeats` passes."""
    torch.manual_seed(0)
    memory = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last_3d}[
        task["layout"]
    ]
    layer = layer_of(task).to(memory_format=memory)
    n = task["size"]
    x = (
        torch.randn(task["batch"], task["in"], n, n, n)
        .to(memory_format=memory)
        .requires_grad_(task["in"] > 1)
    )
    g = torch.randn(layer(x).shape).to(memory_format=memory)

    def lap() -> None:
        for _ in range(task["repeats"]):
            if task["backward"]:
                layer(x).backward(g)
            else:
                with torch.no_grad():
                    layer(x)

    return lap


if __name__ == "__main__":
    serve(set_up, "torch")
