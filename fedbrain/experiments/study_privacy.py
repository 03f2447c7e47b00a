"""Differential privacy of the clients of a study: what a private rule needs of all other choices,
and the epsilon that is left.

Two federations are neighbours when all that one client sends in one of them is 0 in the other. What
is told are the server's models of all rounds. The scores of the table are of test examples, and are
not covered.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from fedbrain.aggregators import AGGREGATORS, PRIVATE
from fedbrain.algorithms import VARIANTS
from fedbrain.algorithms.variant import Variant
from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.analysis.tree_privacy import tree_sensitivity
from fedbrain.data.problem import Problem, unchanged
from fedbrain.experiments.spec import bind, call
from fedbrain.training.in_memory import Plan
from fedbrain.types import Update

CLIPS = ("clip_by_client_norm", "clip_by_layer_norm")  # links that look at one client at a time
CLOCKS = ("rounds", "in_turn")


class Spent(NamedTuple):
    """What the models of a run tell of any one client."""

    epsilon: float  # of (epsilon, delta)-differential privacy of clients; inf without noise
    delta_dp: float
    mu: float  # the run is mu-GDP


def _name(spec: str) -> str:
    return spec.partition("(")[0].strip()


def is_private(config: Any) -> bool:
    """Whether the rule of a configuration claims privacy.

    Args:
      config: of a cell.
    """
    return _name(str(config.server.aggregator)) in PRIVATE


def require_no_private_rule(aggregator: str) -> None:
    """Refuses a private rule in an experiment, which tells losses of every client without noise.

    Args:
      aggregator: the call in `config.server.aggregator`.

    Raises:
      ValueError: naming the field.
    """
    if _name(aggregator) in PRIVATE:
        raise ValueError(
            "config.server.aggregator: expected a rule that claims no privacy in an experiment,"
            " whose losses of training and validation are told without noise, got"
            f" {aggregator!r}. Take it in a study, or config.client.privacy here."
        )


def require_private_study(config: Any, problem: Problem, plan: Plan, update: Update) -> None:
    """Refuses what voids the guarantee of a private rule.

    Args:
      config: of a cell.
      problem: the data of one seed.
      plan: of the cell.
      update: what a client sends, or its shapes.

    Raises:
      ValueError: naming the field, what is needed there and why.
    """
    if not is_private(config):
        return
    rule = config.server.aggregator
    for field, expected, why, got in [
        *_of_the_data(config, problem),
        *_of_channels(config, plan, update),
        *_of_the_search(config),
    ]:
        raise ValueError(
            f"config.{field}: expected {expected} under config.server.aggregator={rule!r}, since"
            f" {why}, got {got!r}."
        )
    clients, delta = len(problem.clients), _arguments(rule)["delta_dp"]
    if delta * clients >= 1:
        raise ValueError(
            f"config.server.aggregator: expected delta_dp below 1 / {clients}, the number of"
            f" clients, got {delta:g}: a release of everything of one of them would be allowed."
        )


Refusal = tuple[str, str, str, Any]  # field, what is expected, why, what came


def _of_the_data(config: Any, problem: Problem) -> Iterator[Refusal]:
    if problem.finish is not unchanged:
        yield (
            "problem",
            "one whose features are made of each client alone, such as digits_in_range(...)",
            "sums over all clients make its features comparable, without noise",
            config.problem,
        )
    if config.regime != "federated":
        yield "regime", "federated", "its clients are those that are hidden", config.regime
    if config.label_flip:
        why = "flipped labels depend on the labels of all clients"
        yield "label_flip", "0", why, config.label_flip


def _of_channels(config: Any, plan: Plan, update: Update) -> Iterator[Refusal]:
    if _name(config.clock) not in CLOCKS:
        why = "others choose clients by their losses, or take one twice in a round"
        yield "clock", "rounds() or in_turn()", why, config.clock
    links = tuple(spec for spec in config.server.links if _name(spec) not in CLIPS)
    if links:
        why = "others make what is counted as one client's of several"
        yield "server.links", f"none but {' and '.join(CLIPS)}", why, links
    variant: Variant = call(config.algorithm, VARIANTS)
    listens = variant.server is not Variant().server or _name(config.algorithm).startswith("report")
    if listens or jax.tree.leaves(update.extra):
        why = "its server uses what clients send beside the clipped update, or weighs by examples"
        yield "algorithm", "one that sends updates alone, such as fedavg()", why, config.algorithm
    if jax.tree.leaves(update.model_state):
        why = "batch statistics are sent without clipping and noise"
        yield "model", "a network without shared batch statistics", why, config.model
    if plan.trusted or _name(config.server.refine) != "none":
        why = "the server would use examples or local models without noise"
        got = (tuple(config.server.trusted), config.server.refine)
        yield "server.trusted", "none, and refine='none()'", why, got


def _of_the_search(config: Any) -> Iterator[Refusal]:
    if config.tune.trials:
        why = "every trial tells of the same clients, and a setting is chosen on their examples"
        yield "tune.trials", "0", why, config.tune.trials
    if config.choices:
        why = "clients choose by their own examples, which no epsilon here covers"
        yield "choices", "none", why, sorted(config.choices)


def _arguments(spec: str) -> Mapping[str, Any]:
    _, bound = bind(spec, AGGREGATORS)
    bound.apply_defaults()
    return bound.arguments


def spent(config: Any, clients: int) -> Spent | None:
    """What a run tells of any one client; nothing is credited for a cohort drawn at random.

    A client is taken to be in every round; where clients take turns, in one of clients / cohort.

    Args:
      config: of a cell.
      clients: of the federation.

    Returns:
      None for a rule that claims nothing.
    """
    if not is_private(config):
        return None
    arguments, rounds = _arguments(config.server.aggregator), config.rounds
    turns = 1
    if _name(config.clock) == "in_turn":
        turns = clients // min(config.cohort or clients, clients)
    every = arguments.get("restart_every", 1)  # noise of each round alone is a tree of one round
    moved = tree_sensitivity(rounds, restart_every=min(every, rounds), turns=turns)
    noise, delta = arguments["noise_multiplier"], arguments["delta_dp"]
    mu = moved / noise if noise else math.inf
    return Spent(epsilon_of(mu, delta), delta, mu)


def spent_by_all(cells: Sequence[Any], clients: int) -> dict[tuple[str, str], Spent]:
    """(method, attack) -> what it tells, of methods that claim privacy.

    Args:
      cells: of the study.
      clients: of its federation.
    """
    told = {(cell.method, cell.attack): spent(cell.config, clients) for cell in cells}
    return {key: one for key, one in told.items() if one is not None}
