"""Rules that remember clients remember them by name: a part of the federation in every round gives
what everybody gives with the others absent.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.aggregators import LINKS, RULES, chain
from fedbrain.aggregators.checks import WrongClients
from fedbrain.configs import base
from fedbrain.experiments.feasible import require_defined
from fedbrain.experiments.spec import call
from fedbrain.training.sampling import uniform
from fedbrain.types import PLACE
from tests.aggregators.test_aggregators import C, P, metrics, same, specs

COHORTS = ([0, 1, 2, 3, 4, 5, 6, 8], [0, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 3, 5, 6, 7, 8])
TABLE = {name: row.make for name, row in (RULES | LINKS).items()}


def rounds(spec, *, whole):
    """Directions of three rounds, with rows for everybody or for those who are there."""
    rule = call(spec, TABLE)
    state, directions = rule.init(jnp.zeros(P)), []
    for number, here in enumerate(COHORTS):
        rng = np.random.default_rng(number)
        deltas = rng.normal(np.linspace(1, 2, P), 0.3, (C, P)).astype(np.float32)
        weights = np.where(np.isin(np.arange(C), here), 1.0 + np.arange(C), 0).astype(np.float32)
        reports = {name: x * rng.uniform(0.5, 2, C) for name, x in metrics().items()}
        reports["trusted"] = metrics()["trusted"]
        rows = list(range(C)) if whole else here
        told = {name: jnp.asarray(x, jnp.float32)[jnp.asarray(rows)] for name, x in reports.items()}
        direction, state = rule.update(
            jnp.asarray(deltas[rows]),
            state,
            weights=jnp.asarray(weights[rows]),
            metrics=told | {PLACE: jnp.asarray(rows)},
            extra=jnp.asarray(1 + deltas[rows] ** 2),
        )
        directions.append(direction)
    return directions


@specs(RULES)
def test_those_who_are_not_drawn_are_those_who_are_absent(spec):
    same(rounds(spec, whole=False), rounds(spec, whole=True), rtol=2e-5, atol=1e-6)


def test_fedcostwavg_by_hand():
    """Client 1 is drawn in rounds 1 and 3, its cost falls from 4 to 1; client 2 is new."""
    rule = call("fedcostwavg(clients=3)", TABLE)
    state = rule.init(jnp.zeros(1))
    for rows, losses in (([0, 1], [4.0, 4.0]), ([0], [4.0]), ([1, 2], [1.0, 2.0])):
        x = jnp.asarray([[0.0], [1.0], [10.0]])[jnp.asarray(rows)]
        told = {"loss": jnp.asarray(losses), "count": jnp.ones(len(rows)), PLACE: jnp.asarray(rows)}
        direction, state = rule.update(x, state, weights=jnp.ones(len(rows)), metrics=told)
    first = 0.5 * 0.5 + 0.5 * 4 / (4 + 1)
    assert float(direction[0]) == pytest.approx(first * 1 + (1 - first) * 10, rel=1e-6)
    assert state.costs.ravel().tolist() == [4.0, 1.0, 2.0]


def test_fedpidavg_by_hand():
    """Client 1 is drawn in rounds 1, 2 and 4: its cost falls from 6 to 4 to 1. Client 2 is new."""
    rule = call("fedpidavg(clients=3)", TABLE)
    state = rule.init(jnp.zeros(1))
    for rows, losses in (
        ([0, 1], [5.0, 6.0]),
        ([1, 0], [4.0, 5.0]),
        ([0], [5.0]),
        ([1, 2], [1, 2]),
    ):
        x = jnp.asarray([[0.0], [1.0], [10.0]])[jnp.asarray(rows)]
        told = {"loss": jnp.asarray(losses), "count": jnp.ones(len(rows)), PLACE: jnp.asarray(rows)}
        direction, state = rule.update(x, state, weights=jnp.ones(len(rows)), metrics=told)
    first = 0.45 / 2 + 0.45 + 0.1 * 11 / 13
    assert float(direction[0]) == pytest.approx(first * 1 + (1 - first) * 10, rel=1e-6)
    assert state.costs[1].tolist() == [1.0, 4.0, 6.0, 0.0, 0.0]


def test_of_two_updates_of_one_client_the_later_is_remembered():
    """As from a buffer; and the memory of a client that is absent stays, wherever its row is."""
    rule = call("fedcostwavg(clients=3)", TABLE)
    state = rule.init(jnp.zeros(1))
    for losses, weights in (([4.0, 2.0, 8.0], [1, 1, 1]), ([5.0, 7.0, 9.0], [1, 0, 0])):
        told = {"loss": jnp.asarray(losses), "count": jnp.ones(3), PLACE: jnp.asarray([1, 1, 2])}
        present = jnp.asarray(weights, jnp.float32)
        _, state = rule.update(jnp.ones((3, 1)), state, weights=present, metrics=told)
        expected = [0.0, 2.0 if weights[1] else 5.0, 8.0]
        assert state.costs.ravel().tolist() == expected


def test_buckets_are_no_clients():
    both = chain(call("bucketing(2)", TABLE), call("fedcostwavg(clients=4)", TABLE))
    x, told = jnp.ones((4, 1)), {"loss": jnp.ones(4), "count": jnp.ones(4), PLACE: jnp.arange(4)}
    with pytest.raises(WrongClients, match="clients=4, got 2"):
        both.update(x, both.init(x[0]), weights=jnp.ones(4), metrics=told)


@pytest.mark.parametrize("aggregator", ["fedcostwavg(clients=3)", "agnostic(clients=2)"])
def test_a_memory_for_another_number_is_refused_before_the_work(aggregator):
    config, names = base.get_config(), ["amber", "birch", "cedar", "dune"]
    config.server.aggregator = aggregator
    config.algorithm = "report_global_loss()"  # what the second one needs
    with pytest.raises(ValueError, match=r"config.server: .*clients=\d, got 4: set it to the"):
        require_defined(config, uniform(2), names)


def test_a_part_of_the_federation_is_allowed():
    config = base.get_config()
    config.server.aggregator = "fedcostwavg(clients=3)"
    require_defined(config, uniform(2), ["amber", "birch", "cedar"])
