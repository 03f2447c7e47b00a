"""What is shared: filters over leaves. What a filter refuses is private and stays in the hospital.

References:
  Li et al. (2021), FedBN, https://arxiv.org/abs/2102.07623
  Arivazhagan et al. (2019), FedPer, https://arxiv.org/abs/1912.00818
  Andreux et al. (2020), SiloBN, https://arxiv.org/abs/2008.07424
"""

from typing import NamedTuple

from fedbrain.algorithms.leaves import LeafFilter, is_head, partition
from fedbrain.types import ModelState, Params, Variables


def everything() -> LeafFilter:
    """Every leaf is shared: plain FedAvg.

    >>> everything()("params", "norm0/scale")
    True
    """
    return lambda collection, path: True


def without_batch_norm() -> LeafFilter:
    """Scale, bias and statistics of normalisation layers stay: FedBN.

    >>> without_batch_norm()("params", "norm0/scale")
    False
    """
    return lambda collection, path: collection != "batch_stats" and "norm" not in path


def without_statistics(shared: LeafFilter) -> LeafFilter:
    """The same filter with the batch statistics kept at the client: SiloBN.

    >>> without_statistics(everything())("batch_stats", "norm0/mean")
    False
    """
    return lambda collection, path: collection != "batch_stats" and shared(collection, path)


def only_head() -> LeafFilter:
    """Only the last layer is shared.

    >>> only_head()("params", "head/kernel"), only_head()("params", "conv0/kernel")
    (True, False)
    """
    return lambda collection, path: collection == "params" and is_head(path)


def without_head() -> LeafFilter:
    """All but the last layer is shared: FedPer.

    >>> without_head()("params", "head/kernel"), without_head()("params", "conv0/kernel")
    (False, True)
    """
    return lambda collection, path: not is_head(path)


class Sharing(NamedTuple):
    """Which leaves of a model train, and which of those leave the hospital.

    The trees that its methods return hold None for the leaves that are not meant.

    >>> sharing = Sharing(shared=without_head())
    >>> sharing.sent({"params": {"conv": 1.0, "head": 2.0}})
    {'params': {'conv': 1.0, 'head': None}}
    >>> sharing.private({"params": {"conv": 1.0, "head": 2.0}})
    {'params': {'conv': None, 'head': 2.0}}
    """

    shared: LeafFilter = everything()  # leaves the hospital, if it trains
    trainable: LeafFilter = everything()  # the others keep the server's initial values

    def trained(self, params: Params) -> tuple[Params, Params]:
        """(parameters that train, frozen ones)."""
        return partition("params", params, self.trainable)

    def sent(self, variables: Variables) -> Variables:
        """The leaves that client and server exchange, of every collection."""
        return {name: partition(name, tree, self._is_sent)[0] for name, tree in variables.items()}

    def sent_params(self, params: Params) -> Params:
        """The parameters that client and server exchange."""
        return self.sent({"params": params})["params"]

    def private(self, variables: Variables) -> Variables:
        """The leaves that train and stay in the hospital, of every collection."""
        return {
            name: partition(name, tree, self._is_private)[0] for name, tree in variables.items()
        }

    def _is_sent(self, collection: str, path: str) -> bool:
        return self.trainable(collection, path) and self.shared(collection, path)

    def _is_private(self, collection: str, path: str) -> bool:
        return self.trainable(collection, path) and not self.shared(collection, path)


def split(variables: Variables) -> tuple[Params, ModelState]:
    """(parameters, all other collections).

    >>> split({"params": 1, "batch_stats": 2})
    (1, {'batch_stats': 2})
    """
    return variables["params"], {name: v for name, v in variables.items() if name != "params"}
