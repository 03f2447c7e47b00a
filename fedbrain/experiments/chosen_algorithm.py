"""The fields `algorithm`, `client` and `server` of a configuration, as an algorithm."""

from collections.abc import Sequence
from typing import Any

import optax

from fedbrain.aggregators import AGGREGATORS, BESIDE, KEEPING, PRIVATE
from fedbrain.aggregators.attacks import EVERY
from fedbrain.aggregators.attacks.beside import Lie, lied_to
from fedbrain.aggregators.attacks.searching import Searching, facing
from fedbrain.algorithms import SHARING, VARIANTS, ClientChain, ServerChain, Sharing, federated
from fedbrain.algorithms.leaves import LeafFilter
from fedbrain.algorithms.optimizers import OPTIMIZERS, SERVER_OPTIMIZERS, TRANSFORMS, UPLOADS
from fedbrain.algorithms.private import Mechanism, private_local
from fedbrain.algorithms.sharing import everything, without_statistics
from fedbrain.experiments.consistent import beside_of, require_consistent
from fedbrain.experiments.spec import bind, choose, factories
from fedbrain.experiments.study_privacy import require_no_private_rule
from fedbrain.types import Aggregator, Algorithm, Task


def read_algorithm(
    config: Any,
    task: Task,
    *,
    microbatches: int = 1,
    trainable: LeafFilter = everything(),  # noqa: B008
    privacy: Mechanism | None = None,
    trusted: Sequence[str] | None = None,
    of_experiment: bool = False,
) -> Algorithm:
    """The fields `algorithm`, `client` and `server` of a configuration, as an algorithm.

    Args:
      config: an `ml_collections.ConfigDict`.
      task: network and loss.
      microbatches: parts of a batch whose gradients are summed.
      trainable: which leaves train.
      privacy: clipping and noise of a client's steps; None: neither.
      trusted: clients that are the server's own; None: it is not known.
      of_experiment: whether losses are told without noise, which voids a rule's claim of privacy.

    Raises:
      ValueError: naming the field, for a choice that cannot be made.
    """
    client, server = config.client, config.server
    chosen = {
        "algorithm": config.algorithm,
        "aggregator": str(server.aggregator),
        "optimizer": client.optimizer,
        "transforms": tuple(client.transforms),
        "upload": client.upload,
        "links": tuple(server.links),
    }
    if of_experiment:
        require_no_private_rule(chosen["aggregator"])
    shared = choose("server.sharing", server.sharing, SHARING)
    statistics = beside_of(server.statistics, chosen["aggregator"])
    if statistics == "local()":
        shared, statistics = without_statistics(shared), "mean()"
    transforms = [choose("client.transforms", one, TRANSFORMS) for one in chosen["transforms"]]
    chain_of_client = ClientChain(
        task,
        optimizer=optax.chain(
            *transforms, choose("client.optimizer", chosen["optimizer"], OPTIMIZERS)
        ),
        upload=choose("client.upload", chosen["upload"], UPLOADS),
        microbatches=microbatches,
    )
    lies, links = read_links(chosen["links"])
    server_optimizer = server.optimizer
    aggregator = choose("server.aggregator", chosen["aggregator"], AGGREGATORS)
    beside = choose("server.statistics", statistics, factories(BESIDE))
    sharing = Sharing(shared, trainable)
    algorithm = federated(
        chain_of_client,
        ServerChain(
            aggregator=facing(links, aggregator),
            optimizer=choose("server.optimizer", server_optimizer, OPTIMIZERS | SERVER_OPTIMIZERS),
            statistics=beside.statistics,
            uploads=beside.uploads,
            steps_alone=bind(chosen["aggregator"], AGGREGATORS)[0] in PRIVATE,
        ),
        variant=choose("algorithm", chosen["algorithm"], VARIANTS),
        sharing=sharing,
    )
    require_consistent(**chosen, trusted=trusted, server_optimizer=server_optimizer)
    algorithm = algorithm._replace(reduce=lied_to(algorithm.reduce, lies))
    if privacy is None:
        return algorithm
    return algorithm._replace(local=private_local(chain_of_client, sharing, privacy))


def read_links(links: Sequence[str]) -> tuple[list[Lie], list[Aggregator | Searching]]:
    """Attacks on all that arrives, and links of the server's chain, attacks that search among them.

    Args:
      links: the calls in `config.server.links`.

    Raises:
      ValueError: for a call that is neither.
    """
    made = [choose("server.links", one, KEEPING | EVERY) for one in links]
    lies = [one for one in made if isinstance(one, Lie)]
    return lies, [one for one in made if not isinstance(one, Lie)]
