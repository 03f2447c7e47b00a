"""What one hospital does in one round: a training step, and two drivers that run the same step.

`stream` is a Python loop over batches (any length, from disk; the fast choice on a CPU), `scan` one
compiled loop over stacked batches (the fast choice on an accelerator). Under both a batch without a
real example changes nothing at all: not the variables, not a momentum, not a step counter.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.types import (
    Batch,
    ClientState,
    Key,
    LocalStep,
    LocalTrainer,
    Metrics,
    PyTree,
    ServerState,
    Update,
)


class Progress(NamedTuple):
    """A driver's carry: the trainer's own, and what every trainer reports."""

    carry: PyTree
    steps: Int[Array, ""]  # real steps taken
    metrics: Metrics  # sums over real steps


@runtime_checkable
class GuardedStep(Protocol):
    """A local step that counts what is real."""

    def __call__(self, progress: Progress, batch: Batch, /) -> Progress:
        """Returns the same progress for a batch without a real example."""
        ...


def guard(step: LocalStep) -> GuardedStep:
    """A step that is a no-op, by construction, on a batch whose mask is all zero.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch
    >>> step = guard(lambda carry, batch: (carry + 1, {}))
    >>> start = Progress(jnp.zeros(()), jnp.zeros((), jnp.int32), {})
    >>> batches = quadratic_batch(), quadratic_batch(real=False)
    >>> [int(step(start, batch).steps) for batch in batches]
    [1, 0]
    """

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
    """The carry before the first step; `batch` only gives the shapes of the metrics.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> variables, algorithm = {"params": {"w": jnp.zeros(1)}}, quadratic_algorithm()
    >>> server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    >>> start = begin(algorithm.local, server, own, jax.random.key(0), quadratic_batch())
    >>> int(start.steps), sorted(start.metrics)
    (0, ['count', 'loss'])
    """
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
    update is not finite, which the server does not use.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> variables, algorithm = {"params": {"w": jnp.zeros(1)}}, quadratic_algorithm()
    >>> server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    >>> start = begin(algorithm.local, server, own, jax.random.key(0), quadratic_batch())
    >>> update, _ = end(algorithm.local, server, own, start, jnp.asarray(9.0))  # no step was taken
    >>> float(update.weight)
    0.0
    """
    present = progress.steps > 0
    examples = jnp.where(present, examples, 0.0)
    metrics = {
        **progress.metrics,
        "examples": examples,
        "steps": progress.steps.astype(jnp.float32),
    }
    update, new = trainer.finish(broadcast, progress.carry, metrics)
    usable = present
    for leaf in jax.tree.leaves((update.delta, update.model_state, update.extra, update.metrics)):
        usable = usable & jnp.isfinite(leaf).all()
    return update, jax.tree.map(lambda n, o: jnp.where(usable, n, o), new, client_state)


def stream(step: GuardedStep, progress: Progress, batches: Iterable[Batch]) -> Progress:
    """Runs an already compiled guarded step over batches, one after the other.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch
    >>> step = guard(lambda carry, batch: (carry + 1, {}))
    >>> start = Progress(jnp.zeros(()), jnp.zeros((), jnp.int32), {})
    >>> int(stream(step, start, [quadratic_batch(), quadratic_batch(real=False)]).steps)
    1
    """
    for batch in batches:
        progress = step(progress, batch)
    return progress


def scan(step: GuardedStep, progress: Progress, batches: Batch) -> Progress:
    """Runs a guarded step over batches stacked along a `steps` axis, in one compiled loop.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch
    >>> step = guard(lambda carry, batch: (carry + 1, {}))
    >>> start = Progress(jnp.zeros(()), jnp.zeros((), jnp.int32), {})
    >>> batches = jax.tree.map(lambda x: jnp.stack([x, x]), quadratic_batch())
    >>> int(scan(step, start, batches).steps)
    2
    """
    return jax.lax.scan(lambda carry, batch: (step(carry, batch), None), progress, batches)[0]
