"""The same rounds in Flower's simulation (Ray, one CPU a client). Task: as fedbrain_round.

A lap is one simulation of `rounds` + 1 rounds; its seconds are those between the first aggregation
and the last.
"""

import logging
import time

import torch
from flwr.app import Context
from flwr.client import ClientApp, NumPyClient
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation
from torch import nn

from benchmarks.paired import serve
from benchmarks.peers.networks import SFCN, picture_net


class Trainer(NumPyClient):
    """Takes the same steps as the plain loop."""

    def __init__(self, task: dict):
        self.task = task

    def fit(self, parameters, config):
        """Trains on examples of the right shapes."""
        torch.set_num_threads(1)
        volumes = self.task["case"] == "volumes"
        model = SFCN([32, 64, 128]) if volumes else picture_net()
        names = list(model.state_dict())
        model.load_state_dict({n: torch.tensor(p) for n, p in zip(names, parameters)})
        parameters = model.parameters()
        optimizer = (
            torch.optim.Adam(parameters, 1e-3) if volumes else torch.optim.SGD(parameters, 0.05)
        )
        x = torch.randn(8, 1, 26, 26, 26) if volumes else torch.randn(10, 1, 28, 28)
        target = torch.randn(8) if volumes else torch.randint(0, 10, (10,))
        for _ in range(self.task["steps"]):
            optimizer.zero_grad()
            y = model(x)
            loss = (
                (y[:, 0] - target).abs().mean()
                if volumes
                else nn.functional.cross_entropy(y, target)
            )
            loss.backward()
            optimizer.step()
        return [v.numpy() for v in model.state_dict().values()], 100, {}


def set_up(task: dict):
    """A simulation anew for every lap: that is how Flower is used."""
    logging.disable(logging.CRITICAL)

    def lap() -> float:
        stamps: list[float] = []

        class Timed(FedAvg):
            def aggregate_fit(self, server_round, results, failures):
                if failures:
                    raise RuntimeError(f"Clients failed: {failures[:1]}")
                out = super().aggregate_fit(server_round, results, failures)
                stamps.append(time.perf_counter())
                return out

        def server(context: Context) -> ServerAppComponents:
            model = SFCN([32, 64, 128]) if task["case"] == "volumes" else picture_net()
            first = ndarrays_to_parameters([v.numpy() for v in model.state_dict().values()])
            share = task["cohort"] / task["clients"]
            strategy = Timed(
                fraction_fit=share,
                fraction_evaluate=0.0,
                min_fit_clients=task["cohort"],
                initial_parameters=first,
            )
            return ServerAppComponents(
                strategy=strategy, config=ServerConfig(num_rounds=task["rounds"] + 1)
            )

        run_simulation(
            ServerApp(server_fn=server),
            ClientApp(client_fn=lambda context: Trainer(task).to_client()),
            num_supernodes=task["clients"],
            backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
        )
        return stamps[-1] - stamps[0]

    return lap


if __name__ == "__main__":
    serve(set_up, "torch", "flwr", "ray")
