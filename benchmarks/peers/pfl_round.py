"""The same rounds in pfl-research's simulated backend. Task: as fedbrain_round.

A lap is one `run` of `rounds` + 1 rounds; its seconds are those between the first aggregation and
the last.
"""

import contextlib
import io
import time

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNTrainHyperParams
from pfl.model.pytorch import PyTorchModel
from torch import nn

from benchmarks.paired import serve
from benchmarks.peers.networks import SFCN, picture_net


class Trained(nn.Module):
    """A network with the loss that pfl asks for."""

    def __init__(self, volumes: bool):
        super().__init__()
        self.network, self.volumes = (SFCN([32, 64, 128]) if volumes else picture_net()), volumes

    def loss(self, x, target, eval=False):
        """Absolute error of ages, cross entropy of pictures."""
        del eval
        y = self.network(x)
        return (
            (y[:, 0] - target).abs().mean()
            if self.volumes
            else nn.functional.cross_entropy(y, target)
        )

    def metrics(self, x, target, eval=False):
        """None: nothing is evaluated."""
        del x, target, eval
        return {}


def set_up(task: dict):
    """Users hold `steps` batches, so that an epoch is `steps` steps."""
    volumes, steps = task["case"] == "volumes", task["steps"]
    size = 8 if volumes else 10
    n = size * steps

    def data(user: int):
        generator = torch.Generator().manual_seed(user)
        if volumes:
            tensors = (
                torch.randn(n, 1, 26, 26, 26, generator=generator),
                torch.randn(n, generator=generator),
            )
        else:
            tensors = (
                torch.randn(n, 1, 28, 28, generator=generator),
                torch.randint(0, 10, (n,), generator=generator),
            )
        return PyTorchTensorDataset(tensors)

    users = {user: data(user) for user in range(task["clients"])}
    sampler = get_user_sampler("minimize_reuse", list(users))
    model = Trained(volumes)
    make = torch.optim.Adam if volumes else torch.optim.SGD
    trained = PyTorchModel(model, make, torch.optim.SGD(model.parameters(), 1.0))
    rate = 1e-3 if volumes else 0.05
    local = NNTrainHyperParams(local_num_epochs=1, local_learning_rate=rate, local_batch_size=size)
    backend = SimulatedBackend(FederatedDataset(users.__getitem__, sampler), None)

    def lap() -> float:
        stamps: list[float] = []

        class Timed(FederatedAveraging):
            def process_aggregated_statistics(self, *args, **keywords):
                out = super().process_aggregated_statistics(*args, **keywords)
                stamps.append(time.perf_counter())
                return out

        rounds = NNAlgorithmParams(task["rounds"] + 1, 10**9, task["cohort"], 0)
        with contextlib.redirect_stdout(io.StringIO()):
            Timed().run(rounds, backend, trained, local)
        return stamps[-1] - stamps[0]

    return lap


if __name__ == "__main__":
    serve(set_up, "torch", "pfl")
