"""The fields `algorithm`, `client` and `server` of a configuration, as an algorithm."""

from typing import Any

import optax

from fedbrain.aggregators import AGGREGATORS, BESIDE, KEEPING, chain
from fedbrain.aggregators.attacks import ATTACKS, LIES
from fedbrain.aggregators.attacks.beside import Lie, lied_to
from fedbrain.algorithms import SHARING, VARIANTS, ClientChain, ServerChain, Sharing, federated
from fedbrain.algorithms.leaves import LeafFilter
from fedbrain.algorithms.optimizers import OPTIMIZERS, SERVER_OPTIMIZERS, TRANSFORMS, UPLOADS
from fedbrain.algorithms.private import Mechanism, private_local
from fedbrain.algorithms.sharing import everything, without_statistics
from fedbrain.experiments.consistent import beside_of, require_consistent, require_kept_memory
from fedbrain.experiments.spec import choose, factories
from fedbrain.types import Algorithm, Task


def read_algorithm(
    config: Any,
    task: Task,
    *,
    microbatches: int = 1,
    trainable: LeafFilter = everything(),  # noqa: B008
    privacy: Mechanism | None = None,
) -> Algorithm:
    """The fields `algorithm`, `client` and `server` of a configuration, as an algorithm.

    Args:
      config: an `ml_collections.ConfigDict`.
      task: network and loss.
      microbatches: parts of a batch whose gradients are summed.
      trainable: which leaves train.
      privacy: clipping and noise of a client's steps; None: neither.

    Raises:
      ValueError: naming the field, for a choice that cannot be made.
    """
    client, server = config.client, config.server
    chosen = {
        "algorithm": config.algorithm,
        "aggregator": server.aggregator,
        "optimizer": client.optimizer,
        "transforms": client.transforms,
    }
    shared = choose("server.sharing", server.sharing, SHARING)
    statistics = beside_of(server.statistics, server.aggregator)
    if statistics == "local()":
        shared, statistics = without_statistics(shared), "mean()"
    transforms = [choose("client.transforms", spec, TRANSFORMS) for spec in client.transforms]
    optimizer = choose("client.optimizer", chosen["optimizer"], OPTIMIZERS)
    lies, kept = [], []
    for spec in server.links:
        link = choose("server.links", spec, KEEPING | ATTACKS | LIES)
        (lies if isinstance(link, Lie) else kept).append(link)
    aggregator = choose("server.aggregator", chosen["aggregator"], AGGREGATORS)
    beside = choose("server.statistics", statistics, factories(BESIDE))
    chain_of_client = ClientChain(
        task,
        optimizer=optax.chain(*transforms, optimizer),
        upload=choose("client.upload", client.upload, UPLOADS),
        microbatches=microbatches,
    )
    sharing = Sharing(shared, trainable)
    variant = choose("algorithm", chosen["algorithm"], VARIANTS)
    algorithm = federated(
        chain_of_client,
        ServerChain(
            aggregator=chain(*kept, aggregator),
            optimizer=choose("server.optimizer", server.optimizer, OPTIMIZERS | SERVER_OPTIMIZERS),
            statistics=beside.statistics,
            uploads=beside.uploads,
        ),
        variant=variant,
        sharing=sharing,
    )
    require_consistent(**chosen)
    require_kept_memory(server.links, variant, client.upload, chosen["algorithm"])
    algorithm = algorithm._replace(reduce=lied_to(algorithm.reduce, lies))
    if privacy is None:
        return algorithm
    return algorithm._replace(local=private_local(chain_of_client, sharing, privacy))
