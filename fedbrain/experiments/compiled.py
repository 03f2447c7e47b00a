"""The compiled functions of an experiment, and the variables that it starts from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.data.pipeline import example_batch
from fedbrain.experiments.config import Experiment
from fedbrain.training.evaluate import Evaluate, make_evaluate
from fedbrain.training.round import RunRound, make_round
from fedbrain.types import Key, Task, Variables

# XLA's default level compiles random numbers two to three times as long, to the same bits.
RUN_ONCE: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}


class Compiled(NamedTuple):
    """Compiled functions, shared by all federations of an experiment."""

    run_round: RunRound  # one round of a cohort
    evaluate: Evaluate  # predictions and losses of a model for batches


def compile_experiment(experiment: Experiment) -> Compiled:
    """Composes the round and the evaluation of an experiment.

    Args:
      experiment: with a driver.

    Raises:
      ValueError: when the driver is still left open.
    """
    if experiment.driver is None:
        raise ValueError(
            "config.driver: expected a driver, got 'auto()', which only an experiment chooses (see"
            " place)."
        )
    run_round = make_round(
        experiment.algorithm,
        experiment.driver,
        experiment.trusted,
        turns=experiment.inputs.augment.turns,
    )
    return Compiled(run_round, make_evaluate(experiment.task, experiment.driver.mesh))


def image_shape(experiment: Experiment) -> tuple[int, ...]:
    """Shape of a prepared image, [d h w c].

    Args:
      experiment: gives the recipe and the modalities.
    """
    return (*experiment.recipe.shape, len(experiment.modalities))


def random_variables(experiment: Experiment, shape: tuple[int, ...]) -> Variables:
    """Fresh variables, from the experiment's seed alone.

    Args:
      experiment: gives the task and the seed.
      shape: of one image, [d h w c].
    """
    return init_variables(experiment.task, *_first_example(experiment, shape))


def outline_variables(experiment: Experiment, shape: tuple[int, ...]) -> Variables:
    """Shapes and types of `random_variables`; nothing is computed.

    Args:
      experiment: as there.
      shape: as there.
    """
    return jax.eval_shape(lambda: experiment.task.init(*_first_example(experiment, shape)))


def init_variables(
    task: Task, key: Key, image: Array, covariates: Array | None = None
) -> Variables:
    """`task.init`, by a program that is compiled quickly because it runs once.

    Args:
      task: to be trained.
      key: of the random numbers.
      image: an example, [1 d h w c], of which only the shape is used.
      covariates: of the example, [1 k].
    """
    arguments = key, image, covariates
    lowered = jax.jit(task.init).lower(*arguments)
    options = RUN_ONCE if jax.default_backend() == "cpu" else None
    return lowered.compile(compiler_options=options)(*arguments)


def _first_example(
    experiment: Experiment, shape: tuple[int, ...]
) -> tuple[Key, Array, Array | None]:
    example = {
        name: jnp.asarray(x) for name, x in example_batch(shape, 1, experiment.inputs).items()
    }
    return jax.random.key(experiment.seed), example["image"], example.get("covariates")
