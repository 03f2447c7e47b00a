"""Federated algorithms: client and server maths, cut at the network."""

from fedbrain.algorithms.exchange import everything, only_head, without_batch_norm, without_head
from fedbrain.algorithms.fedavg import fedavg

EXCHANGES = {
    "everything": everything,
    "without_batch_norm": without_batch_norm,  # FedBN
    "without_head": without_head,  # FedPer
    "only_head": only_head,
}

ALGORITHMS = {"fedavg": fedavg}
