"""Checks reading and writing of PyTorch's files with PyTorch itself.

    python -m tools.check_torch --python=ENVIRONMENT/bin/python

That environment has torch and monai; this one does not. MONAI's DenseNet121 with random weights and
statistics is saved with and without `module.`, read here, compared, written as `fedbrain.export
--torch` does, and loaded there with strict=True.
"""

import subprocess
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from fedbrain.experiments.starting_point import INITIALS
from fedbrain.models import MODELS
from fedbrain.models.files.weights import save

PYTHON = flags.DEFINE_string(
    "python", None, "An interpreter that has torch, monai and safetensors.", required=True
)
BOUND = 1e-4  # of the largest output
NETWORK = (
    "from monai.networks.nets import DenseNet121\nnet = DenseNet121(spatial_dims=3, in_channels=1,"
    " out_channels=1)\n"
)
MAKE = f"""import torch, numpy as np
torch.manual_seed(0)
{NETWORK}
for m in net.modules():
    if isinstance(m, torch.nn.BatchNorm3d):
        torch.nn.init.normal_(m.running_mean, std=0.1)
        torch.nn.init.uniform_(m.running_var, 0.5, 2)
        torch.nn.init.uniform_(m.weight, 0.5, 1.5); torch.nn.init.normal_(m.bias, std=0.1)
net.eval()
x = torch.randn(2, 1, 48, 48, 48)
with torch.no_grad(): y = net(x)
np.savez("reference.npz", x=x.numpy(), y=y.numpy())
torch.save(net.state_dict(), "plain.pt")
torch.save({{"module." + k: v for k, v in net.state_dict().items()}}, "module.pt")
"""
BACK = f"""import torch, numpy as np
from safetensors.torch import load_file
{NETWORK}
print(net.load_state_dict(load_file("back.safetensors"), strict=True))
net.eval(); r = np.load("reference.npz")
with torch.no_grad():
    difference = np.abs(net(torch.tensor(r["x"])).numpy() - r["y"])
    print("output, largest difference:", difference.max())
"""


def main(argv: list[str]) -> None:
    """There, here, and back."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PYTHON.value, "-c", MAKE], cwd=folder, check=True)
        reference = np.load(f"{folder}/reference.npz")
        network = MODELS["densenet121"]()
        image = jnp.asarray(np.moveaxis(reference["x"], 1, -1))
        fresh = network.init(jax.random.key(1), image[:1], train=False)
        for name in ("plain", "module"):
            variables, told = INITIALS["file"](str(Path(folder) / f"{name}.pt"))(fresh, 0, 0)
            difference = float(
                np.abs(network.apply(variables, image, train=False) - reference["y"]).max()
            )
            largest = float(np.abs(reference["y"]).max())
            print(
                f"{told}\n{name}: outputs up to {largest:.2g}, largest difference {difference:.2g}"
            )
            if difference > BOUND * largest:
                raise SystemExit(f"Expected at most {BOUND:g} of the largest output.")
        save(variables, f"{folder}/back.safetensors", torch=True)
        subprocess.run([PYTHON.value, "-c", BACK], cwd=folder, check=True)


if __name__ == "__main__":
    app.run(main)
