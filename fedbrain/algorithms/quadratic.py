"""The smallest federation, for examples and first trials: F_i(w) = 1/2 (w - b_i)^2, w one number.

A client takes two steps of length 1/2. From w = 0 with b = 4 that is 0 -> 2 -> 3.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from fedbrain.aggregators.mean import weighted_mean
from fedbrain.aggregators.statistics import mean_statistics
from fedbrain.algorithms.client import ClientChain
from fedbrain.algorithms.federated import federated
from fedbrain.algorithms.server import ServerChain
from fedbrain.algorithms.variant import Variant, fedavg
from fedbrain.training import local_steps
from fedbrain.types import Algorithm, Batch, Key, Metrics, ModelState, Params, Task, Variables

STEPS = 2  # of a client in a round


def quadratic_task() -> Task:
    """Training and evaluation of F(w) = 1/2 (w - b)^2, where b is the target of a batch.

    >>> params, batch = {"w": jnp.zeros(1)}, quadratic_batch(4.0)
    >>> loss, _ = quadratic_task().loss(params, {}, batch, jax.random.key(0))
    >>> float(loss)
    8.0
    """

    def init(key: Key, image: Array, covariates: Array | None = None) -> Variables:
        del key, image, covariates
        return {"params": {"w": jnp.zeros(1)}}

    def error(params: Params, batch: Batch) -> Array:
        return 0.5 * (params["w"] - jnp.asarray(batch["target"])) ** 2

    def loss(
        params: Params, model_state: ModelState, batch: Batch, key: Key
    ) -> tuple[Array, tuple[ModelState, Metrics]]:
        del key
        count = jnp.asarray(batch["mask"]).sum()
        total = (error(params, batch) * batch["mask"]).sum()
        return total / jnp.maximum(count, 1), (model_state, {"loss": total, "count": count})

    def evaluate(params: Params, model_state: ModelState, batch: Batch) -> tuple[Array, Array]:
        del model_state
        return jnp.broadcast_to(params["w"], batch["target"].shape), error(params, batch)

    def with_features(params: Params, model_state: ModelState, batch: Batch, key: Key):
        value, aux = loss(params, model_state, batch, key)
        rows = (*batch["target"].shape, params["w"].size)
        return (value, jnp.broadcast_to(params["w"], rows)), aux

    return Task(init, loss, evaluate, with_features)


def quadratic_batch(b: float = 4.0, *, real: bool = True) -> Batch:
    """One example with optimum b; a padded one when it is not real.

    >>> quadratic_batch(4.0)["target"].tolist(), quadratic_batch(real=False)["mask"].tolist()
    ([4.0], [0.0])
    """
    mask = jnp.ones(1) if real else jnp.zeros(1)
    return {"image": jnp.zeros((1, 1)), "target": jnp.full(1, b), "mask": mask}


def quadratic_algorithm(variant: Variant = fedavg()) -> Algorithm:  # noqa: B008
    """A variant with steps of 1/2 at the client, the weighted mean, and w <- w + mean D.

    >>> quadratic_algorithm().init_client({"params": {"w": jnp.zeros(1)}}).params
    {'w': None}
    """
    return federated(
        ClientChain(quadratic_task(), optax.sgd(0.5)),
        ServerChain(weighted_mean(), optax.sgd(1.0), mean_statistics),
        variant=variant,
    )


def local_rounds(variant: Variant, rounds: int = 2) -> tuple[list[float], list[float]]:
    """(deltas that a client with b = 4 sends, the models that it uses), round after round.

    The global model stays at w = 0: the server takes no step. Without the variant both are 3 and 0.

    >>> local_rounds(fedavg())
    ([3.0, 3.0], [0.0, 0.0])
    """
    algorithm, variables = quadratic_algorithm(variant), {"params": {"w": jnp.zeros(1)}}
    server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    deltas, models = [], []
    for _ in range(rounds):
        batch, key = quadratic_batch(), jax.random.key(0)
        progress = local_steps.begin(algorithm.local, server, own, key, batch)
        step = local_steps.guard(algorithm.local.step)
        progress = local_steps.stream(step, progress, [batch] * STEPS)
        update, own = local_steps.end(algorithm.local, server, own, progress, jnp.ones(()))
        deltas.append(round(float(update.delta[0]), 3))
        models.append(round(float(algorithm.client_variables(server, own)["params"]["w"][0]), 3))
    return deltas, models
