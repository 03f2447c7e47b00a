"""What one client can do to the model through what it sends beside its delta."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.aggregators import AGGREGATORS, BESIDE
from fedbrain.algorithms import VARIANTS, ClientChain, ServerChain, federated
from fedbrain.algorithms.quadratic import quadratic_task
from fedbrain.experiments.consistent import unprotected
from fedbrain.types import Update

INITIAL = {
    "params": {"w": jnp.zeros(1)},
    "batch_stats": {"norm": {"mean": jnp.zeros(2), "var": jnp.ones(2)}},
}
HONEST = np.array([1.0, 2.0, 3.0, 4.0])
UNSENT = {  # what the memory holds that no client sent
    "scaffold": {"examples": 0.0},
    "mime": {"round": 0.0},
    "mimelite": {"round": 0.0},
}
WEIGHTS = jnp.array([10.0, 20.0, 30.0, 40.0, 50.0])


def server_after(variant: str, beside: str, *, lie: float):
    """The server's state after a round in which the last of five clients sends an honest delta and
    lies in everything else.
    """
    algorithm = federated(
        ClientChain(quadratic_task(), optax.sgd(0.5)),
        ServerChain(AGGREGATORS["median"](), optax.sgd(1.0), *BESIDE[beside]),
        variant=VARIANTS[variant](),
    )
    sent = jnp.asarray([*HONEST, lie], jnp.float32)[:, None]
    updates = Update(
        delta=jnp.ones((5, 1)),
        model_state={"batch_stats": {"norm": {"mean": sent * jnp.ones(2), "var": sent**2 + 1}}},
        weight=WEIGHTS,
        metrics={},
        extra={"w": sent} if variant != "fedavg" else (),
    )
    state = algorithm.init(INITIAL, WEIGHTS)
    return algorithm.apply(state, algorithm.reduce(state, updates))[0]


@pytest.mark.parametrize("beside", BESIDE)
def test_only_the_median_keeps_a_lie_out_of_batch_statistics(beside):
    norm = server_after("fedavg", beside, lie=1e9).model_state["batch_stats"]["norm"]
    bounded = (norm["mean"] <= HONEST.max()) & (norm["var"] <= HONEST.max() ** 2 + 1)
    assert bool(bounded.all()) == (beside == "median")


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("variant", UNSENT)
def test_only_the_median_keeps_a_lie_out_of_the_servers_memory(variant, beside):
    memory = server_after(variant, beside, lie=1e6).extra._replace(**UNSENT[variant])
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(memory))
    assert (largest <= HONEST.max()) == (beside == "median")


def test_the_median_counts_clients_and_not_examples():
    memory = server_after("scaffold", "median", lie=1e6).extra
    np.testing.assert_allclose(memory.control["w"], [3.0])  # all five came: their share is 1


@pytest.mark.parametrize(
    ("algorithm", "aggregator", "statistics", "warned"),
    [
        ("scaffold()", "krum(1)", "mean()", "batch statistics and what scaffold() sends besides"),
        ("fedavg()", "krum(1)", "pooled()", "batch statistics"),
        ("scaffold()", "krum(1)", "median()", None),
        ("scaffold()", "weighted_mean()", "mean()", None),
    ],
)
def test_a_robust_rule_beside_averages_is_warned_of(algorithm, aggregator, statistics, warned):
    extra = jnp.zeros(1) if algorithm == "scaffold()" else ()
    update = Update(jnp.zeros(1), INITIAL["batch_stats"], jnp.ones(()), {}, extra)
    choices = {"algorithm": algorithm, "aggregator": aggregator, "statistics": statistics}
    sentences = list(unprotected(**choices, update=update))
    assert len(sentences) == (warned is not None)
    assert all(f"and {warned} are averaged ({statistics})" in text for text in sentences)
