"""Clients whose examples are arrays in memory: the data of a simulation, and a client's round as
one compiled function.

The same `Algorithm` as between hospitals, with the same guarded step; only the map differs.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedbrain.training import local_steps
from fedbrain.types import Algorithm, Batch, ClientState, Key, ServerState, Update, Variables


class Clients(NamedTuple):
    """The data of N clients, padded to the longest. Without the first axis: of one client."""

    image: Float[Array, "clients n *features"]
    target: Float[Array, "clients n"]
    mask: Float[Array, "clients n"]  # 1 = real


class Plan(NamedTuple):
    """How long, and who."""

    rounds: int
    batch_size: int  # at least the longest client: full batches
    steps: Int[np.ndarray, " clients"]  # local steps of each client; fewer for a straggler
    cohort: int  # clients drawn for a round
    drop_out: float  # chance that a drawn client does not come
    every: int  # rounds between evaluations
    trusted: tuple[int, ...] = ()  # places of clients that are the server's own: there every round


@runtime_checkable
class ClientLoss(Protocol):
    """The mean training loss of the model that one client would start from."""

    def __call__(
        self, broadcast: ServerState, own: ClientState, examples: Clients, key: Key, /
    ) -> Float[Array, ""]:
        """Takes the client's own state and its examples [n, ...]."""
        ...


@runtime_checkable
class ClientRound(Protocol):
    """One client's part of a round."""

    def __call__(
        self, broadcast: ServerState, own: ClientState, examples: Clients, steps: Array, key: Key, /
    ) -> tuple[Update, ClientState]:
        """Takes the client's own state, its examples [n, ...] and its number of steps."""
        ...


def batch_of(data: Clients, key: Key, step: Array, size: int) -> Batch:
    """Batch `step` of one client: its examples in an order drawn from the key, epoch after epoch;
    all when they fit.

    >>> data = Clients(jnp.zeros((3, 1)), jnp.arange(3.0), jnp.array([1.0, 1.0, 0.0]))
    >>> batch_of(data, jax.random.key(0), jnp.asarray(0), size=3)["target"].tolist()
    [0.0, 1.0, 2.0]
    """
    n = data.mask.shape[0]
    if size >= n:
        return {"image": data.image, "target": data.target, "mask": data.mask}
    order = jnp.argsort(jnp.where(data.mask > 0, jax.random.uniform(key, (n,)), jnp.inf))
    real = jnp.maximum(data.mask.sum().astype(jnp.int32), 1)
    place = step * size + jnp.arange(size)
    chosen = order[place % real]
    once = jnp.arange(size) < real  # a client with fewer examples than a batch has each once
    return {
        "image": data.image[chosen],
        "target": data.target[chosen],
        "mask": data.mask[chosen] * once,
    }


def models(algorithm: Algorithm, server: ServerState, own: ClientState, clients: int) -> Variables:
    """The model that each client uses, with a leading clients axis.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> variables = {"params": {"w": jnp.ones(1)}}
    >>> algorithm = quadratic_algorithm()
    >>> server, own = algorithm.init(variables, jnp.ones(2)), algorithm.init_client(variables)
    >>> models(algorithm, server, own, 2)["params"]["w"].tolist()
    [[1.0], [1.0]]
    """
    return jax.vmap(algorithm.client_variables, (None, 0), axis_size=clients)(server, own)


def make_client(algorithm: Algorithm, plan: Plan) -> ClientRound:
    """A client's part of a round, as a function that can be mapped and scanned.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> variables, algorithm = {"params": {"w": jnp.zeros(1)}}, quadratic_algorithm()
    >>> client = make_client(algorithm, Plan(1, 1, np.array([2]), 1, 0.0, 1))
    >>> examples = Clients(jnp.zeros((1, 1)), jnp.full(1, 4.0), jnp.ones(1))
    >>> server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    >>> client(server, own, examples, jnp.asarray(2), jax.random.key(0))[0].delta.tolist()
    [3.0]
    """
    trainer = algorithm.local
    step = local_steps.guard(trainer.step)
    longest = int(max(plan.steps))

    def client(broadcast: ServerState, own: ClientState, examples: Clients, steps: Array, key: Key):
        shuffle, noise = jax.random.split(key)
        first = batch_of(examples, shuffle, jnp.asarray(0), plan.batch_size)
        progress = local_steps.begin(trainer, broadcast, own, noise, first)

        def one(progress: local_steps.Progress, k: Array):
            batch = dict(batch_of(examples, shuffle, k, plan.batch_size))
            batch["mask"] = batch["mask"] * (k < steps)
            return step(progress, batch), None

        progress, _ = jax.lax.scan(one, progress, jnp.arange(longest))
        return local_steps.end(trainer, broadcast, own, progress, examples.mask.sum())

    return client


def make_loss(algorithm: Algorithm) -> ClientLoss:
    """A client's loss on all its examples, as it would report it of a first step. XLA drops the
    gradient.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> variables, algorithm = {"params": {"w": jnp.zeros(1)}}, quadratic_algorithm()
    >>> examples = Clients(jnp.zeros((1, 1)), jnp.full(1, 4.0), jnp.ones(1))
    >>> server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    >>> float(make_loss(algorithm)(server, own, examples, jax.random.key(0)))
    8.0
    """

    def loss(broadcast: ServerState, own: ClientState, examples: Clients, key: Key):
        batch = examples._asdict()
        carry = algorithm.local.init(broadcast, own, key)
        _, metrics = algorithm.local.step(carry, batch)
        return metrics["loss"] / jnp.maximum(metrics["count"], 1)

    return loss
