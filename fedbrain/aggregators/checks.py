"""Arguments that several rules share, checked."""

from fedbrain.aggregators.cohort import Cohort
from fedbrain.types import PLACE


class WrongClients(ValueError):
    """A rule remembers another number of clients than the federation has."""


def expect_clients(cohort: Cohort, clients: int) -> None:
    """Raises WrongClients when a cohort does not fit the memory of a rule.

    A cohort that says which client each row is may be a part of the federation.

    >>> import jax.numpy as jnp
    >>> expect_clients(Cohort(jnp.zeros((2, 5)), jnp.ones(2)), 3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    fedbrain.aggregators.checks.WrongClients: Expected a cohort of clients=3, got 2: ...
    """
    rows = cohort.updates.shape[0]
    if rows > clients or (rows < clients and PLACE not in cohort.metrics):
        raise WrongClients(
            f"Expected a cohort of clients={clients}, got {rows}: set it to the federation's."
        )


def expect_byzantine(num_byzantine: int) -> None:
    """Raises a ValueError when the number of clients that may be wrong is negative.

    >>> expect_byzantine(-1)
    Traceback (most recent call last):
    ValueError: Expected num_byzantine=-1 >= 0.
    """
    if num_byzantine < 0:
        raise ValueError(f"Expected num_byzantine={num_byzantine} >= 0.")


def expect_private(
    expected: int, noise_multiplier: float, delta_dp: float, **positive: float
) -> None:
    """Raises a ValueError for numbers with which a private rule is not one.

    Args:
      expected: clients of a round.
      noise_multiplier: standard deviation of the noise in bounds of one client; 0: none.
      delta_dp: for which epsilon is told.
      positive: others that must be above 0.

    >>> expect_private(0, 1.0, 1e-5)
    Traceback (most recent call last):
    ValueError: Expected expected=0 >= 1.
    """
    if expected < 1:
        raise ValueError(f"Expected expected={expected} >= 1.")
    if not 0 <= noise_multiplier < 1e9:
        raise ValueError(f"Expected 0 <= noise_multiplier={noise_multiplier} < 1e9.")
    if not 0 < delta_dp < 1:
        raise ValueError(f"Expected 0 < delta_dp={delta_dp} < 1.")
    for name, value in positive.items():
        if not 0 < value < 1e9:
            raise ValueError(f"Expected 0 < {name}={value} < 1e9.")
