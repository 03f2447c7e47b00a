"""One training step of PyTorch on a CPU: forward, backward, Adam.

Task: {"model", "size", "batch", "layout", "steps"}, and "dtype" for autocast.
"""

import torch
from monai.networks.nets import DenseNet121

from benchmarks.paired import serve
from benchmarks.peers.networks import SFCN

MODELS = {
    "densenet121": lambda: DenseNet121(spatial_dims=3, in_channels=1, out_channels=1),
    "sfcn": lambda: SFCN([32, 64, 128, 256, 256, 64]),
    "adapted_sfcn": lambda: SFCN([32, 64, 128]),
}


def set_up(task: dict):
    """A lap is `steps` steps."""
    torch.manual_seed(0)
    memory = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last_3d}[
        task["layout"]
    ]
    model = MODELS[task["model"]]().to(memory_format=memory)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    x = torch.randn(task["batch"], 1, *(task["size"],) * 3).to(memory_format=memory)
    target = torch.randn(task["batch"])
    lower = task.get("dtype") == "bfloat16"

    def lap() -> None:
        for _ in range(task["steps"]):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=lower):
                y = model(x)[:, 0].float()
            (y - target).abs().mean().backward()
            optimizer.step()

    return lap


if __name__ == "__main__":
    serve(set_up, "torch", "monai")
