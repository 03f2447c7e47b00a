"""Aggregation rules: optax transformations that consume the leading `clients` axis, and their kin.

A rule is `update(pseudo_gradients[clients, ...], state, params, *, weights[clients]) -> (direction, state)`. Links of a
server chain before the reducing link keep the axis, the reducing link removes it, links after it are ordinary optax.
"""

from fedbrain.aggregators.mean import weighted_mean
from fedbrain.aggregators.statistics import mean_statistics, pooled_statistics

AGGREGATORS = {"weighted_mean": weighted_mean}

BATCH_STATISTICS = {"mean": mean_statistics, "pooled": pooled_statistics}
