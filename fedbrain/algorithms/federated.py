"""A client chain, a server chain and a variant become one `Algorithm`.

Client i starts from the global model w, takes local steps of its own chain to y_i and sends D_i =
y_i - w. The server feeds the pseudo-gradients -D_i to its links: with `weighted_mean` and
`sgd(1.0)` that is w <- w + sum_i p_i D_i.

References:
  McMahan et al. (2017), https://arxiv.org/abs/1602.05629
  Reddi et al. (2021), https://arxiv.org/abs/2003.00295
"""

from functools import partial

from fedbrain.algorithms.client import ClientChain, client_variables, init_client, make_local
from fedbrain.algorithms.server import ServerChain, apply, init_server, reduce
from fedbrain.algorithms.sharing import Sharing
from fedbrain.algorithms.variant import Variant, fedavg
from fedbrain.types import Algorithm


def federated(
    client: ClientChain,
    server: ServerChain,
    *,
    variant: Variant = fedavg(),  # noqa: B008  (pure functions)
    sharing: Sharing = Sharing(),  # noqa: B008
) -> Algorithm:
    """Composes an algorithm.

    Args:
      client: the task, the links of a local step, and what is done to a delta before it leaves.
      server: the aggregator, the server's optimiser, and the rule for batch statistics.
      variant: what the algorithm does beyond FedAvg.
      sharing: which leaves train and which are shared. No variant sees a frozen leaf.

    >>> import optax
    >>> from fedbrain.aggregators import BESIDE, weighted_mean
    >>> from fedbrain.algorithms.quadratic import quadratic_task
    >>> client = ClientChain(quadratic_task(), optax.sgd(0.5))
    >>> server = ServerChain(weighted_mean(), optax.sgd(1.0), *BESIDE["mean"])
    >>> algorithm = federated(client, server)
    >>> algorithm.shared({"params": {"w": 1.0}})
    {'params': {'w': 1.0}}
    """
    return Algorithm(
        init=partial(init_server, server, variant, sharing),
        init_client=partial(init_client, client, variant, sharing),
        local=make_local(client, variant, sharing),
        reduce=partial(reduce, server, variant, sharing),
        apply=partial(apply, server, sharing),
        client_variables=partial(client_variables, variant, sharing),
        shared=sharing.sent,
    )
