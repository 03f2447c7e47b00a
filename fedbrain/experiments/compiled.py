"""The compiled functions of an experiment, and the variables that it starts from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fedbrain.data.pipeline import example_batch
from fedbrain.experiments.config import Experiment
from fedbrain.training.evaluate import Evaluate, make_evaluate
from fedbrain.training.round import RunRound, make_round
from fedbrain.types import Variables


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
    return Compiled(run_round, make_evaluate(experiment.task))


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
    example = {
        name: jnp.asarray(x) for name, x in example_batch(shape, 1, experiment.inputs).items()
    }
    return experiment.task.init(
        jax.random.key(experiment.seed), example["image"], example.get("covariates")
    )
