"""Choices of a configuration that only hold together: formulas that assume how clients step, and
robust rules beside averages.
"""

from collections.abc import Iterator
from inspect import BoundArguments

import jax

from fedbrain.aggregators import AGGREGATORS, RULES
from fedbrain.algorithms import VARIANTS
from fedbrain.algorithms.optimizers import OPTIMIZERS
from fedbrain.experiments.spec import bind
from fedbrain.types import Update


def require_consistent(*, algorithm: str, aggregator: str, optimizer: str) -> None:
    """Refuses a client optimiser for which the formula of the algorithm or the rule does not hold.

    Mime's momentum is the whole optimiser of its local steps. FedNova's effective number of steps
    is that of SGD with its momentum. q-FedAvg divides an update by the learning rate to estimate a
    gradient. SCAFFOLD and FedDyn are not in the list: they correct the gradient itself, and where
    corrected gradients are 0 every optimiser rests.

    Args:
      algorithm: the call in `config.algorithm`.
      aggregator: the call in `config.server.aggregator`.
      optimizer: the call in `config.client.optimizer`.

    Raises:
      ValueError: naming the field, and the choice that needs another value there.

    >>> require_consistent(algorithm="mime()", aggregator="median()", optimizer="sgd(0.1)")
    """
    if bind(algorithm, VARIANTS)[0] in ("mime", "mimelite"):
        _require_sgd(optimizer, f"config.algorithm={algorithm!r}", momentum=0.0)
    rule, bound = bind(aggregator, AGGREGATORS)
    bound.apply_defaults()
    needed_by = f"config.server.aggregator={aggregator!r}"
    if rule == "fednova":
        _require_sgd(optimizer, needed_by, momentum=bound.arguments["momentum"])
    if rule == "q_fedavg":
        sgd = _require_sgd(optimizer, needed_by, momentum=0.0)
        if sgd.arguments["learning_rate"] != bound.arguments["learning_rate"]:
            raise ValueError(
                "config.server.aggregator: expected the learning_rate of"
                f" config.client.optimizer={optimizer!r}, got {aggregator!r}."
            )


def _require_sgd(optimizer: str, needed_by: str, *, momentum: float) -> BoundArguments:
    """The arguments of the client's optimiser, which must be SGD with this momentum."""
    name, bound = bind(optimizer, OPTIMIZERS)
    bound.apply_defaults()
    used = bound.arguments
    fits = name == "sgd" and (used["momentum"] or 0.0) == momentum
    if not fits or (momentum and used["nesterov"]):
        wanted = f"sgd(RATE, momentum={momentum})" if momentum else "sgd(RATE) without momentum"
        raise ValueError(
            f"config.client.optimizer: expected {wanted}, for which the formula of {needed_by}"
            f" holds, got {optimizer!r}."
        )
    return bound


def unprotected(
    *, algorithm: str, aggregator: str, statistics: str, update: Update
) -> Iterator[str]:
    """Warns where a robust rule stands beside averages through which one client spoils the model.

    Args:
      algorithm: the call in `config.algorithm`.
      aggregator: the call in `config.server.aggregator`.
      statistics: the call in `config.server.statistics`.
      update: what a client sends, or its shapes.
    """
    rule, _ = bind(aggregator, AGGREGATORS)
    if RULES[rule].breakdown == "0" or statistics.startswith("median"):
        return
    averaged = []
    if jax.tree.leaves(update.model_state):
        averaged.append("batch statistics")
    if jax.tree.leaves(update.extra):
        averaged.append(f"what {algorithm} sends besides")
    if averaged:
        yield (
            f"config.server.statistics: {aggregator} limits what one client's weights can do, and"
            f" {' and '.join(averaged)} are averaged ({statistics}), so that one client can spoil"
            " the model through them. Choose 'median()'."
        )
