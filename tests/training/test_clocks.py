"""Clocks of a simulation, on F_i(w) = 1/2 (w - b_i)^2: a client sends 3/4 (b_i - w)."""

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.algorithms.quadratic import quadratic_algorithm
from fedbrain.training.clocks import buffered, power_of_choice, rounds
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


def trained(clock, *, cohort, rounds_=6, trusted=(), drop_out=0.0, sizes=(1, 1, 1, 1), seed=0):
    """Global models after every round, of clients with optima 0, 1, 2, ... and so many examples."""
    n = max(sizes)
    optima = jnp.broadcast_to(jnp.arange(len(sizes), dtype=jnp.float32)[:, None], (len(sizes), n))
    mask = (jnp.arange(n)[None] < jnp.asarray(sizes)[:, None]).astype(jnp.float32)
    data = Clients(jnp.zeros((len(sizes), n, 1)), optima, mask)
    steps = np.full(len(sizes), 2)
    plan = Plan(rounds_, n, steps, cohort, drop_out, 1, trusted)
    out = simulate(
        quadratic_algorithm(),
        {"params": {"w": jnp.zeros(1)}},
        data,
        plan,
        jax.random.key(seed),
        evaluate=lambda server, own: server.params["w"][0],
        clock=clock,
    )
    return np.asarray(out.history), {k: np.asarray(v) for k, v in out.metrics.items()}


def test_the_client_with_the_largest_loss_of_all_candidates_trains():
    """Of optima 0 to 3 the farthest from the model, to which it goes three quarters of the way."""
    models, _ = trained(power_of_choice(candidates=4), cohort=1)
    w = 0.0
    for model in models:
        farthest = max(range(4), key=lambda b: abs(b - w))
        w = w + 0.75 * (farthest - w)
        np.testing.assert_allclose(model, w, rtol=1e-6)


def test_candidates_are_drawn_by_their_examples():
    """One candidate of sizes 1, 2, 3, 2: how often each moves the model in 400 rounds."""
    sizes = (1, 2, 3, 2)
    models, _ = trained(power_of_choice(candidates=1), cohort=1, rounds_=400, sizes=sizes)
    before = np.concatenate([[0.0], models[:-1]])
    chosen = np.rint(before + (models - before) / 0.75).astype(int)
    counts = np.bincount(chosen, minlength=4)
    expected = 400 * np.asarray(sizes) / sum(sizes)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all(), counts


def test_the_servers_own_client_is_there_every_round():
    for clock in (rounds(), power_of_choice(candidates=3)):
        _, info = trained(clock, cohort=2, trusted=(1,), drop_out=0.5, rounds_=20)
        assert not info["skipped"].any()
