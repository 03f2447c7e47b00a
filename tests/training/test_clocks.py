"""Clocks of a simulation, on F_i(w) = 1/2 (w - b_i)^2: a client sends 3/4 (b_i - w)."""

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.algorithms.quadratic import quadratic_algorithm
from fedbrain.training.clocks import buffered
from fedbrain.training.in_memory import Clients, Plan
from fedbrain.training.simulate import simulate


def test_a_stale_update_moves_the_model_less_also_alone():
    """FedBuff: an update that is 99 versions old is divided by sqrt(1 + 99) = 10."""
    optima = jnp.array([[0.0], [4.0]])
    data = Clients(jnp.zeros((2, 1, 1)), optima, jnp.ones((2, 1)))
    plan = Plan(rounds=100, batch_size=1, steps=np.array([2, 2]), cohort=1, drop_out=0.0, every=1)
    models = simulate(
        quadratic_algorithm(),
        {"params": {"w": jnp.zeros(1)}},
        data,
        plan,
        jax.random.key(0),
        evaluate=lambda server, own: server.params["w"],
        clock=buffered(size=1, slowest=99.5),  # the first client has sent 99 times by then
    ).history
    np.testing.assert_allclose(models[-2:].ravel(), [0.0, 3.0 / 10], rtol=1e-6)
