"""How long a study trains, and who takes part in a round."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedbrain.experiments.spec import at_least
from fedbrain.training.clocks import Clock
from fedbrain.training.in_memory import Plan


def require_fitting_clock(spec: str, clock: Clock, plan: Plan, members: int) -> None:
    """Refuses a clock that cannot draw the cohort.

    Args:
      spec: the call in `config.clock`.
      clock: what it returned.
      plan: of the cell.
      members: clients of the federation.

    Raises:
      ValueError: naming the field.
    """
    if clock.candidates is not None and clock.candidates < plan.cohort:
        raise ValueError(
            f"config.cohort: expected at most the candidates of config.clock={spec!r}, got"
            f" {plan.cohort} of {members} clients."
        )
    in_turn = spec.partition("(")[0].strip() == "in_turn"
    if in_turn and (members % plan.cohort or plan.trusted):
        raise ValueError(
            f"config.cohort: expected a divisor of the {members} clients and no"
            f" config.server.trusted, since they take turns, got {plan.cohort}."
        )
    if plan.trusted and spec.partition("(")[0].strip() == "buffered":
        raise ValueError(
            "config.clock: expected one with rounds, in all of which the clients of"
            f" config.server.trusted are, got {spec!r}."
        )


def read_trusted(trusted: Sequence[str], names: Sequence[str], cohort: int) -> tuple[int, ...]:
    """The places of the server's own clients.

    Args:
      trusted: `config.server.trusted`.
      names: of all clients, sorted; empty where nobody trains together.
      cohort: clients of a round.

    Raises:
      ValueError: for a name that no client has, and for a cohort without anybody else.
    """
    if not names:
        return ()
    if unknown := sorted(set(trusted) - set(names)):
        raise ValueError(f"config.server.trusted: expected some of {list(names)}, got {unknown}.")
    if trusted and len(trusted) >= cohort:
        raise ValueError(
            f"config.server.trusted: expected fewer than the {cohort} clients of a round, got"
            f" {list(trusted)}."
        )
    return tuple(names.index(name) for name in trusted)


def read_plan(config: Any, members: int, names: Sequence[str] = ()) -> Plan:
    """How long, and who.

    Args:
      config: of a cell.
      members: clients of the federation.
      names: of them, sorted; empty where nobody trains together.

    Raises:
      ValueError: for rounds, steps or clients that do not fit.
    """
    rounds = at_least("rounds", config.rounds, 1)
    every = at_least("every", config.every, 1)
    if rounds % every:
        raise ValueError(f"config.every: expected a divisor of rounds={rounds}, got {every}.")
    steps = config.client.steps
    many = isinstance(steps, tuple)
    if many and len(steps) != members:
        raise ValueError(f"config.client.steps: expected one number or {members}, got {steps}.")
    steps = np.asarray(steps if many else [steps] * members)
    cohort = min(config.cohort or members, members)
    return Plan(
        rounds,
        at_least("client.batch_size", config.client.batch_size, 1),
        steps,
        cohort,
        config.drop_out,
        every,
        read_trusted(config.server.trusted, names, cohort),
    )
