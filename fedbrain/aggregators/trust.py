"""FLTrust: the server trains too, and trusts a client as far as it points the same way.

x_0 is the update of the server's own small data set.

    TS_i = max(0, cos(x_i, x_0)),   direction = sum_i TS_i ||x_0|| / ||x_i|| x_i / sum_i TS_i

References:
  Cao et al. (2021), https://arxiv.org/abs/2012.13995
"""

import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.aggregators.cohort import Cohort, linear
from fedbrain.aggregators.linear_algebra import gram
from fedbrain.types import Aggregator


def fltrust() -> Aggregator:
    """The mean of the clients that point the way of the server's own, each as long as that one.

    Needs one client that reports `trusted` = 1: the server's own (`config.server.trusted`). It is
    not part of the mean. Undefined when it is absent or nobody points its way.

    >>> x = jnp.array([[1.0, 0.0], [4.0, 0.0], [-9.0, 0.0]])
    >>> reports = {"weights": jnp.ones(3), "metrics": {"trusted": jnp.array([1.0, 0.0, 0.0])}}
    >>> rule = fltrust()
    >>> rule.update(x, rule.init(x[0]), **reports)[0].tolist()
    [1.0, 0.0]
    """

    def coefficients(cohort: Cohort) -> Array:
        trusted = (cohort.metric("trusted") > 0) & cohort.present
        root = jnp.argsort(~trusted)[0]
        g = gram(cohort.updates, cohort.present)
        norms = jnp.sqrt(jnp.diag(g))
        cosine = g[root] / jnp.maximum(norms[root] * norms, 1e-300)
        score = jnp.where(cohort.present & ~trusted, jnp.maximum(cosine, 0), 0)
        alpha = score * norms[root] / jnp.maximum(norms, 1e-300) / jnp.maximum(score.sum(), 1e-300)
        return jnp.where(trusted.any() & (score.sum() > 0), alpha, jnp.nan)

    return linear(coefficients)
