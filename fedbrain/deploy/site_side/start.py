"""The model before the first round, and the learning rate of every round, follow from the job: a
server that sends others is refused.
"""

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.config import Experiment
from fedbrain.types import ServerState

# of a weight: machines round the functions of a random number differently in the last bits
RELATIVE, ABSOLUTE = 1e-4, 1e-6
SAME_SCALE = 1e-5


def require_start(agreement: Agreement, sent: ServerState) -> None:
    """Raises Refused when the first model is not the one that the job names, or that follows from
    its seed.

    Args:
      agreement: of the job.
      sent: by the server, as round 0.
    """
    start, algorithm = agreement.start, agreement.experiment.algorithm
    own = agreement.fresh if start is None else variables_of(sent)
    if start is not None and tree_digest(own) != start.sha256:
        raise Refused(
            f"params: expected the model of {start.sha256[:16]}... that the job names, got another"
        )
    expected = algorithm.init(own, jnp.ones(1))
    for name in ("params", "model_state", "extra"):
        pairs = zip(jax.tree.leaves(getattr(sent, name)), jax.tree.leaves(getattr(expected, name)))
        for theirs, ours in pairs:
            one_number = name == "extra" and ours.ndim == 0  # the examples of all sites
            if not one_number and not np.allclose(theirs, ours, RELATIVE, ABSOLUTE):
                raise Refused(
                    f"{name}: expected the model that follows from the job's seed, got another"
                )


def require_scale(experiment: Experiment, round: int, scale: float) -> None:
    """Raises Refused when an order's learning rate follows from no course of the experiment.

    A rate near 0 would turn a round into the exact gradient at the server's weights.

    Args:
      experiment: gives schedule and patience.
      round: completed ones.
      scale: factor of the learning rate.
    """
    if not 0 <= scale <= 1:
        raise Refused(f"learning_rate_scale: expected a share from 0 to 1, got {scale:g}")
    planned = experiment.schedule(round, experiment.rounds) if round else 1.0
    plateau, factor = experiment.patience.plateau, experiment.patience.factor
    reductions = round // plateau if plateau else 0
    shares = [planned * factor**k for k in range(reductions + 1)]
    if not any(abs(scale - share) <= SAME_SCALE * max(share, 1e-6) for share in shares):
        raise Refused(
            f"learning_rate_scale: expected one of the job's schedule, {planned:g} in round {round}"
            f" or {factor:g} times that at a plateau, got {scale:g}"
        )
