"""What one hospital does in one round: a training step, and two drivers that run the same step.

`stream` is a Python loop over batches (any length, from disk; the fast choice on a CPU), `scan` one
compiled loop over stacked batches (the fast choice on an accelerator). Under both a batch without a
real example changes nothing at all: not the variables, not a momentum, not a step counter.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.types import (
    Batch,
    ClientState,
    Key,
    LocalTrainer,
    Metrics,
    PyTree,
    ServerState,
    Update,
)

Step = Callable[[PyTree, Batch], tuple[PyTree, Metrics]]


class Progress(NamedTuple):
    """A driver's carry: the trainer's own, and what every trainer reports."""

    carry: PyTree
    steps: Int[Array, ""]  # real steps taken
    metrics: Metrics  # sums over real steps


def guard(step: Step) -> Callable[[Progress, Batch], Progress]:
    """A step that is a no-op, by construction, on a batch whose mask is all zero."""

    def guarded(progress: Progress, batch: Batch) -> Progress:
        real = batch["mask"].sum() > 0
        carry, metrics = step(progress.carry, batch)
        carry = jax.tree.map(lambda new, old: jnp.where(real, new, old), carry, progress.carry)
        metrics = jax.tree.map(
            lambda total, m: total + jnp.where(real, m, 0), progress.metrics, metrics
        )
        return Progress(carry, progress.steps + real.astype(jnp.int32), metrics)

    return guarded


def begin(
    trainer: LocalTrainer, broadcast: ServerState, client_state: ClientState, key: Key, batch: Batch
) -> Progress:
    """The carry before the first step; `batch` only gives the shapes of the metrics."""
    carry = trainer.init(broadcast, client_state, key)
    _, metrics = jax.eval_shape(trainer.step, carry, batch)
    zeros = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)
    return Progress(carry, jnp.zeros((), jnp.int32), zeros)


def end(
    trainer: LocalTrainer,
    broadcast: ServerState,
    client_state: ClientState,
    progress: Progress,
    examples: Float[Array, ""],
) -> tuple[Update, ClientState]:
    """What leaves the hospital and what stays.

    A client that took no step is absent: its weight is 0. It keeps its state, and so does one whose
      update is not finite.
    """
    present = progress.steps > 0
    examples = jnp.where(present, examples, 0.0)
    metrics = {
        **progress.metrics,
        "examples": examples,
        "steps": progress.steps.astype(jnp.float32),
    }
    update, new = trainer.finish(broadcast, progress.carry, metrics)
    kept = present
    for leaf in jax.tree.leaves((update.delta, update.model_state)):
        kept = kept & jnp.isfinite(leaf).all()
    return update, jax.tree.map(lambda n, o: jnp.where(kept, n, o), new, client_state)


def stream(
    step: Callable[[Progress, Batch], Progress], progress: Progress, batches: Iterable[Batch]
) -> Progress:
    """Runs an already compiled guarded step over batches, one after the other."""
    for batch in batches:
        progress = step(progress, batch)
    return progress


def scan(
    step: Callable[[Progress, Batch], Progress], progress: Progress, batches: Batch
) -> Progress:
    """Runs a guarded step over batches stacked along a `steps` axis, in one compiled loop."""
    return jax.lax.scan(lambda carry, batch: (step(carry, batch), None), progress, batches)[0]
