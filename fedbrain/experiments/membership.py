"""A membership audit: a canary, whose gradient is as large as the clipping allows and which nobody
else resembles, takes part in half of the trials; the attacker sees every model and tells which.

The trials run the code that hospitals run: local steps, clipping, noise, the server's rule.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fedbrain.aggregators import BESIDE, weighted_mean
from fedbrain.algorithms import ClientChain, ServerChain, Sharing, federated
from fedbrain.algorithms.private import dp_fedsgd, private_local
from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.analysis.membership import Told, judge
from fedbrain.models.losses import l1
from fedbrain.models.tabular import linear
from fedbrain.models.task import make_task
from fedbrain.training.in_memory import Clients, Plan
from fedbrain.training.simulate import simulate

FEATURES, CLIP, RATE = 16, 1.0, 0.1  # of the head in a trial; the attack does not depend on them
FEWEST_TRIALS = 100  # below, intervals say nothing
NONE = 1e-6  # noise multiplier that stands for no noise

PAGE = """Membership audit: can it be told whether one person took part?

{trials} trials of {rounds} rounds with {people} people, and as many with one person more, who is
chosen to be as easy to find as possible. The attacker sees every model that the hospital helped to
make.

                                            found        95 %
  area under the curve (0.5: a coin)        {area:.3f}        {low:.3f} to {high:.3f}
  epsilon is at least                       {least:.2f}         with 95 % confidence
  epsilon is at most (the account)          {most}

{verdict}
SYNTHETIC people: it tests the method and its code, not a data set.
"""


def attack(
    noise_multiplier: float, *, people: int, rounds: int, trials: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of trials (with the canary, without it).

    Args:
      noise_multiplier: of `dp_fedsgd`; 0: no noise.
      people: without the canary.
      rounds: of each trial.
      trials: of each kind.
      seed: of people and noise.
    """
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1 / np.sqrt(FEATURES), (1, people + 1, FEATURES)).astype(np.float32)
    target = rng.uniform(20, 80, (1, people + 1)).astype(np.float32)
    image[0, :, 0] = 0  # what only the canary has
    image[0, -1], target[0, -1] = 100 * np.eye(FEATURES)[0], 1e6
    task: Any = make_task(linear(), l1(centre=50.0, scale=15.0))
    client = ClientChain(task, optax.sgd(RATE))
    server = ServerChain(weighted_mean(), optax.sgd(1.0), *BESIDE["mean"])
    privacy = dp_fedsgd(noise_multiplier or NONE, CLIP, loss_bound=1.0)
    algorithm = federated(client, server)
    algorithm = algorithm._replace(local=private_local(client, Sharing(), privacy))
    variables = task.init(jax.random.key(0), jnp.zeros((1, FEATURES)))
    plan = Plan(rounds, people + 1, np.ones(1, int), 1, 0.0, rounds)

    def trial(key: jax.Array, there: jax.Array) -> jax.Array:
        mask = jnp.ones((1, people + 1)).at[0, -1].set(there)
        data = Clients(jnp.asarray(image), jnp.asarray(target), mask)
        ended = simulate(algorithm, variables, data, plan, key, evaluate=lambda server, own: ())
        return ended.server.params["head"]["kernel"][0, 0]

    keys = jax.random.split(jax.random.key(seed), (2, trials))
    run = jax.jit(jax.vmap(trial, (0, None)))
    return tuple(np.asarray(run(k, jnp.asarray(x)), float) for k, x in zip(keys, (1.0, 0.0)))  # type: ignore


def render(told: Told, *, noise_multiplier: float, delta_dp: float, **how: int) -> str:
    """A page that an ethics board can read.

    Args:
      told: by the attack.
      noise_multiplier: of `dp_fedsgd`; 0: no noise.
      delta_dp: for which epsilon is told.
      how: people, rounds and trials.
    """
    mu = how["rounds"] ** 0.5 / noise_multiplier if noise_multiplier else float("inf")
    most = epsilon_of(mu, delta_dp)
    if told.epsilon_at_least > most:
        verdict = "The attack tells more than the account allows: the code or the account is wrong."
    elif told.area_95[0] > 0.5:
        verdict = "Membership can be told better than by a coin, within what the account allows."
    else:
        verdict = "The attack does no better than a coin."
    text = f"{most:.2f}         for delta {delta_dp:g}" if mu < 1e3 else "unbounded: no noise"
    area, (low, high), least = told
    return PAGE.format(
        area=area, low=low, high=high, least=least, most=text, verdict=verdict, **how
    )


def audit(
    noise_multiplier: float, *, people: int, rounds: int, trials: int, delta_dp: float
) -> str:
    """Attacks, and tells what came of it.

    Args:
      noise_multiplier: of `dp_fedsgd`; 0: no noise.
      people: of the hospital, for training.
      rounds: of the experiment.
      trials: of each kind.
      delta_dp: for which epsilon is told.

    Raises:
      ValueError: naming the flag, for a number that is out of range.
    """
    how = {"people": people, "rounds": rounds, "trials": trials}
    for name, value in how.items():
        least = FEWEST_TRIALS if name == "trials" else 1
        if value < least:
            raise ValueError(f"--{name}: expected at least {least}, got {value}.")
    if not 0 <= noise_multiplier < 1e6 or not 0 < delta_dp < 1:
        raise ValueError(
            "--noise_multiplier, --delta: expected 0 or more, and above 0 and below 1, got"
            f" {noise_multiplier:g} and {delta_dp:g}."
        )
    told = judge(*attack(noise_multiplier, **how), delta_dp)
    return render(told, noise_multiplier=noise_multiplier, delta_dp=delta_dp, **how)
