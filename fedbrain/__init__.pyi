from fedbrain import aggregators, algorithms, models
from fedbrain.algorithms import ClientChain, ServerChain, federated
from fedbrain.api import Released, Result, configuration, load, train
from fedbrain.training.in_memory import Clients, Plan
from fedbrain.training.simulate import simulate

__version__: str

__all__ = [
    "ClientChain",
    "Clients",
    "Plan",
    "Released",
    "Result",
    "ServerChain",
    "aggregators",
    "algorithms",
    "configuration",
    "federated",
    "load",
    "models",
    "simulate",
    "train",
]
