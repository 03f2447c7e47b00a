"""A network and a loss become one task: pure functions of parameters, state and a masked batch."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.models.initial import together
from fedbrain.models.penultimate import entering_head
from fedbrain.types import Batch, Key, Loss, Metrics, ModelState, Params, Task, Variables


def make_task(module: Any, loss: Loss) -> Task:
    """Joins a Flax module and a loss.

    The training loss is the mean over the real examples of the batch: sum_i mask_i l_i / sum_i
    mask_i. Its metrics are sums, `loss` (in the loss's unit) and `count`, so that they add up over
    steps and clients. A batch may have `covariates`.

    Args:
      module: whose `apply` takes image [b d h w c], `train`, `mask` [b] and perhaps covariates
        [b k], and returns [b outputs].
      loss: of `module`'s outputs.
    """
    compiled_init = jax.jit(together(partial(module.init, train=False)))

    def covariates_of(batch: Batch) -> dict[str, Array]:
        return {"covariates": jnp.asarray(batch["covariates"])} if "covariates" in batch else {}

    def init(key: Key, image: Array, covariates: Array | None = None) -> Variables:
        keywords = {} if covariates is None else {"covariates": covariates}
        return compiled_init(key, image, **keywords)

    def train_loss(params: Params, model_state: ModelState, batch: Batch, key: Key):
        mask = batch["mask"]
        output, model_state = module.apply(
            {"params": params, **model_state},
            batch["image"],
            train=True,
            mask=mask,
            **covariates_of(batch),
            rngs={"dropout": key},
            mutable=list(model_state),
        )
        per_example = loss.per_example(output, jnp.asarray(batch["target"]))
        total = jnp.sum(per_example * mask)
        count = jnp.sum(mask)
        metrics: Metrics = {"loss": jax.lax.stop_gradient(total), "count": count}
        return total / jnp.maximum(count, 1.0), (model_state, metrics)

    def evaluate(params: Params, model_state: ModelState, batch: Batch) -> tuple[Array, Array]:
        output = module.apply(
            {"params": params, **model_state}, batch["image"], train=False, **covariates_of(batch)
        )
        return loss.predict(output), loss.per_example(output, jnp.asarray(batch["target"]))

    def with_features(params: Params, model_state: ModelState, batch: Batch, key: Key):
        features, (mean, aux) = entering_head(lambda: train_loss(params, model_state, batch, key))
        return (mean, features), aux

    return Task(init, train_loss, evaluate, with_features)
