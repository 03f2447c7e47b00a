"""Whether a model can be tested at a site that does not train it."""

from typing import Any

import jax

from fedbrain.data.regimes import leave_one_site_out
from fedbrain.experiments.compiled import outline_variables
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.feasible import require_defined

REGIME = "leave_one_site_out"


def require_leavable(
    config: Any, experiment: Experiment, names: list[str], shape: tuple[int, int, int, int]
) -> None:
    """Refuses the regime where no federation of all others makes a model for everybody.

    Args:
      config: an `ml_collections.ConfigDict` of the experiment.
      experiment: as read from it.
      names: of all clients, sorted.
      shape: of an image, [d h w c].

    Raises:
      ValueError: naming the field and what helps.
    """
    if leave_one_site_out not in experiment.regimes.values():
        return
    if len(names) < 2:
        raise ValueError(
            f"config.regimes: expected two clients or more for {REGIME!r}, got"
            f" {', '.join(names) or 'none'}. Take it out, or add a site."
        )
    variables = outline_variables(experiment, shape)
    own = jax.eval_shape(experiment.algorithm.init_client, variables)
    if jax.tree.leaves((own.params, own.model_state)):
        raise ValueError(
            f"config.regimes: expected all layers to be shared for {REGIME!r}, since the site that"
            " is left out has none of its own, got private ones (config.algorithm, server.sharing,"
            " server.statistics). Take it out, or share them."
        )
    if experiment.trusted:
        raise ValueError(
            f"config.regimes: expected no config.server.trusted for {REGIME!r}, since a trusted"
            f" client is left out once, got {', '.join(experiment.trusted)}."
        )
    require_defined(config, experiment.sampling, names[1:])
