"""The networks of the benchmarks in PyTorch."""

import torch
from torch import nn


class SFCN(nn.Module):
    """Convolution, norm, pooling and ReLU per channel count; then 1x1x1 and a linear layer."""

    def __init__(self, channels: list[int]):
        super().__init__()
        layers: list[nn.Module] = []
        *body, last = channels
        for c, o in zip([1, *body], body):
            layers += [nn.Conv3d(c, o, 3, padding=1), nn.BatchNorm3d(o), nn.MaxPool3d(2), nn.ReLU()]
        layers += [nn.Conv3d(body[-1], last, 1), nn.BatchNorm3d(last), nn.ReLU()]
        self.features, self.head = nn.Sequential(*layers), nn.Linear(last, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.dropout(self.features(x).mean((2, 3, 4)), 0.2))


def picture_net() -> nn.Module:
    """Two 5x5 convolutions, 16 and 32 channels, with ReLU and 2x2 pooling; one dense layer."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(32 * 49, 10),
    )
