"""Arguments that several rules share, checked."""

from fedbrain.aggregators.cohort import Cohort


def expect_clients(cohort: Cohort, clients: int) -> None:
    """Raises a ValueError when a cohort is not of the size that a rule's memory was made for.

    >>> import jax.numpy as jnp
    >>> expect_clients(Cohort(jnp.zeros((2, 5)), jnp.ones(2)), 3)
    Traceback (most recent call last):
    ValueError: Expected a cohort of clients=3, got 2: set it to the federation's.
    """
    if cohort.updates.shape[0] != clients:
        raise ValueError(
            f"Expected a cohort of clients={clients}, got {cohort.updates.shape[0]}: set it to the"
            " federation's."
        )


def expect_byzantine(num_byzantine: int) -> None:
    """Raises a ValueError when the number of clients that may be wrong is negative.

    >>> expect_byzantine(-1)
    Traceback (most recent call last):
    ValueError: Expected num_byzantine=-1 >= 0.
    """
    if num_byzantine < 0:
        raise ValueError(f"Expected num_byzantine={num_byzantine} >= 0.")
