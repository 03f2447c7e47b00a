"""Whether the server's rule is defined for the number of clients that a round has.

Krum needs 2f + 3 clients, Bulyan 4f + 3. No table of such numbers is kept: the links and the rule
of a configuration are applied to a few random updates, and a direction that is not finite says no.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from fedbrain.aggregators.checks import WrongClients
from fedbrain.algorithms.quadratic import quadratic_batch, quadratic_task
from fedbrain.experiments.chosen_algorithm import read_algorithm
from fedbrain.training.outline import outline
from fedbrain.training.sampling import Sampling
from fedbrain.types import Algorithm, Batch, Update, Variables

MOST = 64  # clients that are tried
SMALL = {"params": {"w": np.zeros(8, np.float32)}}  # the model of a trial before training


def random_updates(
    algorithm: Algorithm, variables: Variables, batch: Batch, *, clients: int, seed: int
) -> Update:
    """Updates [clients, ...] of the right shapes: random deltas, and ones for all the rest.

    Args:
      algorithm: whose client sends them.
      variables: of the model.
      batch: any batch of the right shapes.
      clients: how many.
      seed: of the deltas.
    """
    one = outline(algorithm, variables, batch, clients=clients).update
    updates = jax.tree.map(lambda x: np.ones((clients, *x.shape), x.dtype), one)
    deltas = np.random.default_rng(seed).normal(size=updates.delta.shape)
    trusted = (np.arange(clients) == 0).astype(np.float32)
    return updates._replace(
        delta=deltas.astype(np.float32), metrics={**updates.metrics, "trusted": trusted}
    )


def is_defined(algorithm: Algorithm, variables: Variables, batch: Batch, *, clients: int) -> bool:
    """Whether the links and the rule make a finite direction of so many clients.

    Args:
      algorithm: whose server is asked.
      variables: of the model.
      batch: any batch of the right shapes.
      clients: how many take part; the first one is trusted.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> is_defined(quadratic_algorithm(), SMALL, quadratic_batch(), clients=1)
    True
    """

    @jax.jit
    def finite(variables: Variables, updates: Update) -> jax.Array:
        state = algorithm.init(variables, jnp.ones(clients))
        return jnp.isfinite(algorithm.reduce(state, updates).direction).all()

    for seed in range(2):  # a rule that depends on the values has a second chance
        updates = random_updates(algorithm, variables, batch, clients=clients, seed=seed)
        if bool(finite(dict(variables), updates)):
            return True
    return False


def _small_algorithm(config: Any) -> Algorithm:
    """The configured algorithm on one small vector, of which everything is shared."""
    small: Any = ConfigDict(config.to_dict())
    small.server.sharing, small.server.statistics = "everything()", "mean()"
    return read_algorithm(small, quadratic_task())


def fewest_clients(config: Any, clients: int) -> int:
    """The smallest number of clients, not below `clients`, for which the server's rule is defined.

    The model is one small vector, of which everything is shared. Where no answer is found, the
    answer is `clients`: a rule is refused only when a larger cohort is known to help.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
      clients: in a round.
    """
    try:
        algorithm = _small_algorithm(config)
        for count in range(clients, MOST + 1):
            if is_defined(algorithm, SMALL, quadratic_batch(), clients=count):
                return count
    except Exception:
        return clients
    return clients


def require_remembered(config: Any, clients: int) -> None:
    """Refuses a rule whose memory is for another number of clients.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
      clients: of the federation.

    Raises:
      ValueError: naming the rule and both numbers.
    """
    algorithm = _small_algorithm(config)
    try:
        is_defined(algorithm, SMALL, quadratic_batch(), clients=clients)
    except WrongClients as error:
        raise ValueError(f"config.server: {error}") from None
    except Exception:  # what else may be wrong is told by others
        return


def require_defined(config: Any, sampling: Sampling, names: Sequence[str]) -> None:
    """Refuses a rule that every round of the federation would skip.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
      sampling: draws the clients of a round.
      names: of all clients, sorted.

    Raises:
      ValueError: naming the rule, the number of clients and the number that it needs.
    """
    if len(names) < 2:
        return
    require_remembered(config, len(names))
    count = len(sampling(list(names), 1, config.seed))
    needed = fewest_clients(config, count)
    if needed > count:
        server = config.server
        after = f" after {', '.join(server.links)}" if server.links else ""
        rule = f"{server.aggregator}{after}"
        fewer = ", or a smaller num_byzantine" if "num_byzantine" in rule else ""
        clients = "1 client" if count == 1 else f"{count} clients"
        raise ValueError(
            f"config.server.aggregator: {rule} is not defined for {clients}; it needs"
            f" {needed} or more. Choose another rule{fewer}."
        )
