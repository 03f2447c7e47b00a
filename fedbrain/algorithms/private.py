"""Differential privacy of a client's people: every scan's gradient is clipped, noise is added to
their sum, and only then a step is taken.

    S = sum_j g_j min(1, C / |g_j|)        j over all training scans, each once in a round
    y = w + chain((S + s C N(0, I)) / n)   one step a round

What leaves is a function of the noisy sum, of w and of n alone, so that a client's chain, upload
and server may do with it what they like. A round uses every scan once: nothing is credited for
sampling, and the composition over rounds is exact (`fedbrain.analysis.gaussian_privacy`).

References:
  Abadi et al. (2016), https://arxiv.org/abs/1607.00133
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fedbrain.algorithms.client import Carry, ClientChain, make_local
from fedbrain.algorithms.leaves import combine, partition
from fedbrain.algorithms.sharing import Sharing
from fedbrain.algorithms.variant import fedavg
from fedbrain.types import (
    Batch,
    ClientState,
    Key,
    LocalTrainer,
    Metrics,
    Params,
    PyTree,
    ServerState,
    Update,
)

NOISE = 0x4E6F6973  # folded into the key of a round for its noise; no step has this number
SAFE = 1 - 1e-6  # so that no rounding takes a clipped norm above its bound


class Mechanism(NamedTuple):
    """Gaussian noise on what a client tells of its people."""

    noise_multiplier: float  # s: standard deviation of the noise, in bounds of one scan
    clip_norm: float  # C: bound of the gradient of a training scan
    loss_bound: float  # bound of the loss of a validation scan, in the unit of the loss
    delta_dp: float  # for which epsilon is told


class Sum(NamedTuple):
    """What a private client adds up in a round."""

    gradients: Params  # clipped, in float32
    examples: Float[Array, ""]


def dp_fedsgd(
    noise_multiplier: float, clip_norm: float, loss_bound: float, delta_dp: float = 1e-5
) -> Mechanism:
    """Noise on the sum of clipped gradients, and on the sum of bounded validation losses.

    Args:
      noise_multiplier: standard deviation of the noise, in `clip_norm` and in `loss_bound`.
      clip_norm: largest norm of the gradient of one training scan.
      loss_bound: largest loss of one validation scan, in the unit of the loss.
      delta_dp: for which epsilon is told; below 1 / people. 1e-5: usual in the literature.

    >>> dp_fedsgd(4.0, clip_norm=1.0, loss_bound=20.0).delta_dp
    1e-05
    """
    for name, value in (
        ("noise_multiplier", noise_multiplier),
        ("clip_norm", clip_norm),
        ("loss_bound", loss_bound),
    ):
        if not 0 < value < 1e9:
            raise ValueError(f"Expected {name}={value} > 0.")
    if not 0 < delta_dp < 1:
        raise ValueError(f"Expected 0 < delta_dp={delta_dp} < 1.")
    return Mechanism(noise_multiplier, clip_norm, loss_bound, delta_dp)


def no_privacy() -> None:
    """No noise is added, and no epsilon applies.

    >>> no_privacy() is None
    True
    """


PRIVACY = {"none": no_privacy, "dp_fedsgd": dp_fedsgd}


def private_local(client: ClientChain, sharing: Sharing, mechanism: Mechanism) -> LocalTrainer:
    """What a hospital computes in a round under differential privacy.

    Args:
      client: its chain takes one step a round, along the noisy mean.
      sharing: which leaves train and which are shared.
      mechanism: clipping and noise.

    Raises:
      ValueError: when it is traced, for a network that takes statistics over a batch: gradients of
        its scans are not separable.

    >>> from fedbrain.algorithms.quadratic import quadratic_task
    >>> client = ClientChain(quadratic_task(), optax.sgd(0.5))
    >>> private_local(client, Sharing(), dp_fedsgd(1.0, 1.0, 1.0))._fields
    ('init', 'step', 'finish')
    """
    plain = make_local(client, fedavg(), sharing)
    return LocalTrainer(
        init=partial(_begin, plain, sharing),
        step=partial(_step, client, mechanism),
        finish=partial(_finish, client, plain, mechanism),
    )


def _begin(
    plain: LocalTrainer, sharing: Sharing, broadcast: ServerState, own: ClientState, key: Key
) -> Carry:
    carry: Any = plain.init(broadcast, own, key)
    moving = [partition(name, x, sharing.trainable)[0] for name, x in carry.model_state.items()]
    if jax.tree.leaves(moving):
        raise ValueError(
            "config.client.privacy: expected a network whose scans do not depend on each other, got"
            " statistics over a batch in layers that train. Use norm='group', or train the head"
            " alone (config.trainable='only_head()')."
        )
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), carry.params)
    return carry._replace(context=Sum(zeros, jnp.zeros((), jnp.float32)))


def _step(
    client: ClientChain, mechanism: Mechanism, carry: Carry, batch: Batch
) -> tuple[Carry, Metrics]:
    """Adds the clipped gradients of a batch, part after part."""

    def loss(params: Params, example: Batch, key: Key):
        one = jax.tree.map(lambda x: x[None], example)
        return client.task.loss(combine(params, carry.frozen), carry.model_state, one, key)[0]

    def clipped(example: Batch, key: Key) -> Params:
        gradient = jax.grad(loss)(carry.params, example, key)
        return clip(gradient, mechanism.clip_norm, jnp.asarray(example["mask"]))

    def add(total: Params, part: tuple[Batch, Key]):
        gradients = jax.vmap(clipped)(*part)
        return jax.tree.map(lambda t, g: t + g.sum(0), total, gradients), None

    mask = jnp.asarray(batch["mask"])
    keys = jax.random.split(jax.random.fold_in(carry.key, carry.step), mask.shape[0])
    examples = (dict(batch), keys)
    if client.microbatches == 1:
        total, _ = add(carry.context.gradients, examples)
    else:
        parts = jax.tree.map(lambda x: x.reshape(client.microbatches, -1, *x.shape[1:]), examples)
        total, _ = jax.lax.scan(add, carry.context.gradients, parts)
    count = mask.sum()
    seen = Sum(total, carry.context.examples + count)
    # the sum of training losses would be told without noise: it stays
    return carry._replace(step=carry.step + 1, context=seen), {"count": count}


def clip(gradient: Params, norm: float, mask: Array) -> Params:
    """g min(1, C / |g|), in float32; 0 for what is masked or not finite.

    Args:
      gradient: of one scan.
      norm: C.
      mask: 1 for a real scan.

    >>> clip({"w": jnp.array([3.0, 4.0])}, 1.0, jnp.ones(()))["w"].round(3)
    Array([0.6, 0.8], dtype=float32)
    """
    gradient = jax.tree.map(lambda g: g.astype(jnp.float32), gradient)
    length = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(gradient)))
    factor = SAFE * norm / jnp.maximum(length, norm)
    usable = jnp.isfinite(length) & (mask > 0)
    return jax.tree.map(lambda g: jnp.where(usable, g * factor, 0.0), gradient)


def _finish(
    client: ClientChain,
    plain: LocalTrainer,
    mechanism: Mechanism,
    broadcast: ServerState,
    carry: Carry,
    metrics: Metrics,
) -> tuple[Update, ClientState]:
    total, count = carry.context
    deviation = mechanism.noise_multiplier * mechanism.clip_norm
    noisy = add_noise(total, deviation, jax.random.fold_in(carry.key, NOISE))
    mean = jax.tree.map(
        lambda s, p: (s / jnp.maximum(count, 1)).astype(p.dtype), noisy, carry.params
    )
    updates, _ = client.optimizer.update(mean, carry.opt_state, carry.params)
    scale = carry.learning_rate_scale
    params = optax.apply_updates(carry.params, jax.tree.map(lambda u: u * scale, updates))
    return plain.finish(broadcast, carry._replace(params=params, context=()), metrics)


def add_noise(tree: PyTree, deviation: float, key: Key) -> PyTree:
    """x + deviation N(0, I), each leaf with a key of its own.

    Args:
      tree: of arrays.
      deviation: standard deviation.
      key: whoever knows it can take the noise away.

    >>> add_noise({"w": jnp.zeros(2)}, 0.0, jax.random.key(0))["w"].tolist()
    [0.0, 0.0]
    """
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    noisy = [x + deviation * jax.random.normal(k, x.shape, x.dtype) for x, k in zip(leaves, keys)]
    return jax.tree.unflatten(structure, noisy)
