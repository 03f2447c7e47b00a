"""fedbrain: federated learning of 3-D networks on brain MRI, in pure functions of JAX.

For experiments: `train`, `load`, `configuration`, `Result`, `Released`. For research on algorithms:
`federated` with `ClientChain` and `ServerChain`, `simulate` with `Plan` and `Clients`, and the
packages `aggregators`, `algorithms` and `models`. What is not used is not imported.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

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

_MODULES = {
    **dict.fromkeys(("Released", "Result", "configuration", "load", "train"), "fedbrain.api"),
    **dict.fromkeys(("ClientChain", "ServerChain", "federated"), "fedbrain.algorithms"),
    **dict.fromkeys(("Clients", "Plan"), "fedbrain.training.in_memory"),
    "simulate": "fedbrain.training.simulate",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    if name in __all__:
        return importlib.import_module(f"fedbrain.{name}")
    raise AttributeError(f"module 'fedbrain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
