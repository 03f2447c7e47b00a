"""One training step of PyTorch on a CPU: forward, backward, Adam. Task: {"model", "size", "batch", "layout"}."""

import torch
from monai.networks.nets import DenseNet121
from torch import nn

from benchmarks.paired import serve


class SFCN(nn.Module):
    """Convolution, norm, pooling, ReLU per channel count; then 1x1x1, norm, ReLU, mean, dropout, linear."""

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


MODELS = {
    "densenet121": lambda: DenseNet121(spatial_dims=3, in_channels=1, out_channels=1),
    "sfcn": lambda: SFCN([32, 64, 128, 256, 256, 64]),
    "adapted_sfcn": lambda: SFCN([32, 64, 128]),
}


def set_up(task: dict):
    """A lap is `steps` steps."""
    torch.manual_seed(0)
    memory = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last_3d}[task["layout"]]
    model = MODELS[task["model"]]().to(memory_format=memory)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    x = torch.randn(task["batch"], 1, *(task["size"],) * 3).to(memory_format=memory)
    target = torch.randn(task["batch"])

    def lap() -> None:
        for _ in range(task["steps"]):
            optimizer.zero_grad()
            loss = (model(x)[:, 0] - target).abs().mean()
            loss.backward()
            optimizer.step()

    return lap


if __name__ == "__main__":
    serve(set_up, "torch", "monai")
