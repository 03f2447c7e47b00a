"""Writes `tests/golden/torch.npz`: what PyTorch and MONAI compute from the same weights.

The weights are those of `tests/golden/torch_weights.py`.

    pip install torch==2.13.0 monai numpy        # in an environment of its own
    python -m tools.make_golden_torch            # about a minute and 8 GB

For each network, on two images of 96^3, in evaluation and in training mode (dropout 0): the output,
and the gradient of sum (output - target)^2 / 2 as norms and random projections of every leaf; after
training the running statistics. Computed in float64, and in float32 for how far PyTorch itself is
off then: batch norm over two images amplifies rounding, so that some leaves of DenseNet-121's
float32 gradient differ from the exact one by a per cent in any library.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import DenseNet121
from torch import nn

from fedbrain.models.files.torch_names import from_torch, to_torch, torch_name
from tests.golden.torch_weights import draw, inputs, projections

GOLDEN = Path(__file__).parents[1] / "tests/golden/torch.npz"


class ReferenceSFCN(nn.Module):
    """Convolution 3^3, norm, pooling, ReLU for 32 and 64 channels; 1^3 for 128; mean; linear."""

    def __init__(self) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        for i, (c, o) in enumerate(((1, 32), (32, 64)), start=1):
            layers |= {f"conv{i}": nn.Conv3d(c, o, 3, padding=1), f"norm{i}": nn.BatchNorm3d(o)}
            layers |= {f"pool{i}": nn.MaxPool3d(2), f"relu{i}": nn.ReLU()}
        layers |= {"conv3": nn.Conv3d(64, 128, 1), "norm3": nn.BatchNorm3d(128), "relu3": nn.ReLU()}
        self.features = nn.Sequential()
        for name, layer in layers.items():
            self.features.add_module(name, layer)
        self.class_layers = nn.Sequential()
        self.class_layers.add_module("out", nn.Linear(128, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.class_layers(self.features(x).mean((2, 3, 4)))


def our_names(module: nn.Module) -> dict[str, str]:
    """Our name of every tensor of a torch module, by inverting `torch_name` over the candidates."""
    ours = {}
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        path, leaf = name.rsplit(".", 1)
        path = path.removeprefix("features.").replace("class_layers.out", "head")
        path = (
            path.replace("denseblock", "block")
            .replace(".denselayer", "_layer")
            .replace(".layers.", "_")
        )
        path = path.replace(".", "_") if path.startswith(("transition", "block")) else path
        is_norm = "norm" in path
        leaf = {
            "weight": "scale" if is_norm else "kernel",
            "running_mean": "mean",
            "running_var": "var",
        }.get(leaf, leaf)
        ours[f"{path}/{leaf}"] = name
        assert torch_name(f"{path}/{leaf}") == name
        assert tensor is not None
    return ours


def golden(model: str, module: nn.Module, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """Runs one network in one precision."""
    module = copy.deepcopy(module).to(dtype)
    state, names = module.state_dict(), our_names(module)
    for ours, theirs in names.items():
        shape = from_torch(ours, state[theirs].numpy()).shape
        state[theirs] = torch.from_numpy(to_torch(ours, draw(ours, shape))).to(dtype)
    module.load_state_dict(state)
    image, target = inputs(model)
    x = torch.from_numpy(image.transpose(0, 4, 1, 2, 3).copy()).to(dtype)
    out = {}
    trained = sorted(n for n in names if not n.endswith(("/mean", "/var")))

    def backward(output: torch.Tensor) -> np.ndarray:
        module.zero_grad()
        (0.5 * (output - torch.from_numpy(target)) ** 2).sum().backward()
        gradients = {n: p.grad.numpy() for n, p in module.named_parameters()}
        return np.stack([projections(n, from_torch(n, gradients[names[n]])) for n in trained])

    output = module.eval()(x)[:, 0]
    out[f"{model}:eval"] = output.detach().numpy()
    out[f"{model}:eval_gradients"] = backward(output)
    output = module.train()(x)[:, 0]
    out[f"{model}:train"] = output.detach().numpy()
    out[f"{model}:gradients"] = backward(output)
    out[f"{model}:gradient_names"] = np.asarray(trained)
    after = module.state_dict()
    running = sorted(n for n in names if n.endswith(("/mean", "/var")))
    out[f"{model}:running_names"] = np.asarray(running)
    out[f"{model}:running"] = np.stack([projections(n, after[names[n]].numpy()) for n in running])
    return out


if __name__ == "__main__":
    torch.manual_seed(0)
    networks = {
        "adapted_sfcn": ReferenceSFCN(),
        "densenet121": DenseNet121(spatial_dims=3, in_channels=1, out_channels=1),
    }
    results: dict[str, np.ndarray] = {}
    for model, module in networks.items():
        exact, single = golden(model, module, torch.float64), golden(model, module, torch.float32)
        results |= exact
        results[f"{model}:single_gradients"] = single[f"{model}:gradients"]
        results[f"{model}:single_eval_gradients"] = single[f"{model}:eval_gradients"]
        off = (
            np.abs(single[f"{model}:gradients"] - exact[f"{model}:gradients"]).max(1)
            / exact[f"{model}:gradients"][:, 0]
        )
        names = exact[f"{model}:gradient_names"]
        worst = {
            str(names[i]): float(off[i])
            for i in np.argsort(-off)
            if not str(names[i]).endswith("bias")
        }
        print(model, "float32 gradients, relative errors:", list(worst.items())[:3])
    np.savez_compressed(GOLDEN, **results)
    print(GOLDEN, GOLDEN.stat().st_size, "bytes")
