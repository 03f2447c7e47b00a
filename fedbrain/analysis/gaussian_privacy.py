"""The differential privacy of Gaussian noise, exactly.

A sum of terms with a norm of at most C, plus N(0, (s C)^2 I), is 1/s-GDP: telling it from the sum
without one person is as hard as telling N(0, 1) from N(1/s, 1). Several such sums compose to

    mu^2 = sum_i 1/s_i^2            with D terms of one person in a sum, mu_i = D/s_i

    delta(epsilon) = Phi(-epsilon/mu + mu/2) - e^epsilon Phi(-epsilon/mu - mu/2)

No subsampling is assumed, and none is credited.

References:
  Dong, Roth and Su (2022), Gaussian differential privacy, https://arxiv.org/abs/1905.02383
  Balle and Wang (2018), https://arxiv.org/abs/1805.06530
"""

import math

from scipy.optimize import brentq
from scipy.special import log_ndtr

LARGEST = 1e6  # of mu and epsilon: above, there is no privacy to speak of


def delta_of(mu: float, epsilon: float) -> float:
    """The smallest delta for which a mu-GDP release is (epsilon, delta)-private.

    Args:
      mu: of the release; 0: nothing was told.
      epsilon: at least 0.

    >>> round(delta_of(1.0, 1.0), 4), delta_of(0.0, 1.0)
    (0.1269, 0.0)
    """
    if mu <= 0:
        return 0.0
    first, second = log_ndtr(-epsilon / mu + mu / 2), epsilon + log_ndtr(-epsilon / mu - mu / 2)
    return float(math.exp(first) * -math.expm1(min(second - first, 0.0)))


def epsilon_of(mu: float, delta_dp: float) -> float:
    """The smallest epsilon for which a mu-GDP release is (epsilon, delta)-private.

    Args:
      mu: of the release.
      delta_dp: above 0 and below 1.

    >>> round(epsilon_of(1.0, 1e-5), 3), epsilon_of(0.0, 1e-5)
    (4.377, 0.0)
    """
    _require_share(delta_dp)
    if mu > math.sqrt(LARGEST):
        return math.inf
    if delta_of(mu, 0.0) <= delta_dp:
        return 0.0
    found: float = brentq(lambda e: delta_of(mu, e) - delta_dp, 0.0, LARGEST, xtol=1e-9)  # type: ignore
    return found


def mu_of(epsilon: float, delta_dp: float) -> float:
    """The largest mu for which a release is (epsilon, delta)-private.

    Args:
      epsilon: above 0.
      delta_dp: above 0 and below 1.

    >>> round(mu_of(3.0, 1e-5), 3)
    0.719
    """
    _require_share(delta_dp)
    if not 0 < epsilon < LARGEST:
        raise ValueError(f"Expected 0 < epsilon={epsilon:g} < {LARGEST:g}.")
    most = math.sqrt(LARGEST)
    found: float = brentq(lambda mu: delta_of(mu, epsilon) - delta_dp, 1e-9, most, xtol=1e-12)  # type: ignore
    return found


def noise_multiplier_of(epsilon: float, delta_dp: float, *, sums: int) -> float:
    """The noise, in clipping norms, with which so many sums are (epsilon, delta)-private together.

    Args:
      epsilon: above 0.
      delta_dp: above 0 and below 1.
      sums: in which a person has one term each: the rounds of an experiment, plus one for the
        validation before the first.

    >>> round(noise_multiplier_of(3.0, 1e-5, sums=20), 2)
    6.22
    """
    if sums < 1:
        raise ValueError(f"Expected sums={sums} >= 1.")
    return math.sqrt(sums) / mu_of(epsilon, delta_dp)


def _require_share(delta_dp: float) -> None:
    if not 0 < delta_dp < 1:
        raise ValueError(f"Expected 0 < delta_dp={delta_dp:g} < 1.")
