"""Fisher merging: each coordinate is a mean weighted by how sure the clients are of it.

    direction = sum_i F_i x_i / sum_i F_i,   F_i [p] the diagonal Fisher information of client i

References:
  Matena and Raffel (2022), https://arxiv.org/abs/2111.09832
"""

import jax.numpy as jnp

from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import combine
from fedbrain.types import Aggregator


def fisher_mean() -> Aggregator:
    """The mean weighted by Fisher information, coordinate by coordinate.

    Needs clients that upload F_i besides their delta (`algorithm = "report_fisher()"`). In one long
    round it is one-shot fusion. A client with negative information is left out, so that the result
    lies between those of the others, coordinate by coordinate. One that sends a huge information
    has its way: the rule survives no wrong client.

    >>> x = jnp.array([[1.0, 1.0], [3.0, 3.0]])
    >>> information = jnp.array([[1.0, 3.0], [1.0, 1.0]])
    >>> rule = fisher_mean()
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(2), extra=information)[0].tolist()
    [2.0, 1.5]
    """

    def reduce(cohort: Cohort, state):
        if cohort.extra is None or cohort.extra.shape != cohort.updates.shape:
            raise ValueError(
                "Expected clients to upload Fisher information, one number for each coordinate: set"
                " config.algorithm = 'report_fisher()'."
            )
        possible = (cohort.extra >= 0).all(axis=1)  # information is a square
        present = (cohort.present & possible).astype(jnp.float64)
        top = combine(cohort.extra * cohort.updates, present)
        bottom = combine(cohort.extra, present)
        return top / jnp.maximum(bottom, jnp.finfo(bottom.dtype).tiny), state

    return reducing(reduce)
