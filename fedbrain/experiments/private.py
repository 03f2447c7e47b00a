"""Differential privacy of an experiment: what must hold together, noise on validation losses, and
how much was spent.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from fedbrain.algorithms.private import Mechanism
from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.data.dataset import Scans
from fedbrain.data.regimes import Federation
from fedbrain.types import Key

FIELD = "config.client.privacy"
NEEDED = {  # field -> what it must be, and why
    "algorithm": ("fedavg()", "other algorithms send what has no noise"),
    "target": ("raw()", "a site's own mean and SD would be told without noise"),
}


class Spent(NamedTuple):
    """What one federation told of a client's people."""

    sums: int  # noisy ones with a person in them
    scans_of_one: int  # most scans of one person: so many terms of a sum are of them
    mu: float  # the releases together are mu-GDP

    def epsilon(self, delta_dp: float) -> float:
        """Of (epsilon, delta)-differential privacy.

        Args:
          delta_dp: above 0 and below 1.
        """
        return epsilon_of(self.mu, delta_dp)


def require_private(privacy: Mechanism | None, config: Any) -> None:
    """Refuses choices under which a client would tell something of its people without noise.

    Args:
      privacy: as `config.client.privacy` names it; None: nothing is needed.
      config: an `ml_collections.ConfigDict` of an experiment.

    Raises:
      ValueError: naming the field, what is needed there and why.
    """
    if privacy is None:
        return
    for field, (call, why) in NEEDED.items():
        if str(config[field]).split("(")[0].strip() != call.split("(")[0]:
            raise ValueError(
                f"config.{field}: expected {call} under {FIELD}, since {why}, got"
                f" {config[field]!r}."
            )
    if config.client.epochs != 1:
        raise ValueError(
            f"config.client.epochs: expected 1 under {FIELD}, since a round takes one step over"
            f" every scan, got {config.client.epochs}."
        )
    if str(config.server.aggregator).split("(")[0].strip() == "fednova":
        raise ValueError(
            f"config.server.aggregator: expected another rule than fednova under {FIELD}, since"
            " every client takes one step."
        )


def spend(privacy: Mechanism, scans: Sequence[Scans], *, sums: int) -> Spent:
    """What so many noisy sums over a client's scans tell.

    A person is in one part alone, and in each sum over that part with all their scans:
    mu^2 = sums * scans^2 / noise_multiplier^2.

    Args:
      privacy: the noise.
      scans: of the parts that are summed over.
      sums: over each part.
    """
    most = max((count for part in scans for count in Counter(part.subjects).values()), default=0)
    return Spent(sums, most, math.sqrt(sums) * most / privacy.noise_multiplier)


def spend_all(
    privacy: Mechanism | None, federation: Federation, *, rounds: int
) -> dict[str, Spent]:
    """What a federation told of each client's people; nothing is reckoned without noise.

    Args:
      privacy: the noise.
      federation: whose clients trained and validated.
      rounds: that were run.
    """
    if privacy is None:
        return {}
    return {name: spend(privacy, scans, sums=rounds) for name, scans in federation.clients.items()}


def composed(spent: Sequence[Spent]) -> float:
    """The mu of several releases together.

    Args:
      spent: of each.

    >>> composed([Spent(9, 1, 3.0), Spent(16, 1, 4.0)])
    5.0
    """
    return math.sqrt(sum(s.mu**2 for s in spent))


def noisy_sum(losses: Float[np.ndarray, " n"], privacy: Mechanism | None, key: Key) -> float:
    """The sum of validation losses; under differential privacy each is bounded, and noise is added.

    Args:
      losses: of validation scans.
      privacy: the bound and the noise; None: the exact sum.
      key: of the noise. Whoever knows it can take the noise away.

    Returns:
      At least 0 where there is noise, as a sum of losses is.
    """
    if privacy is None:
        return float(losses.astype(np.float64).sum())
    bound = privacy.loss_bound
    bounded = np.clip(np.nan_to_num(losses.astype(np.float64), nan=bound), 0.0, bound)
    noise = float(jax.random.normal(key)) * privacy.noise_multiplier * bound
    return max(0.0, float(bounded.sum()) + noise)


def account(
    privacy: Mechanism, regimes: Mapping[str, Mapping[str, Sequence[Spent]]]
) -> dict[str, Any]:
    """The privacy that is left, as `results.json` holds it.

    Args:
      privacy: the noise.
      regimes: regime -> client -> what each of its federations told.

    Returns:
      The noise and its bounds, `delta_dp`, and regime -> client -> mu and epsilon, over all repeats
      and splits of the regime.
    """
    told = {
        regime: {
            name: {"mu": composed(spent), "epsilon": epsilon_of(composed(spent), privacy.delta_dp)}
            for name, spent in clients.items()
        }
        for regime, clients in regimes.items()
    }
    return {**privacy._asdict(), "regimes": told}


def require_delta(privacy: Mechanism | None, people: Mapping[str, int]) -> None:
    """Refuses a delta that allows to tell everything of one person in some client.

    Args:
      privacy: the noise; None: nothing is needed.
      people: client -> how many it has.

    Raises:
      ValueError: naming the client.
    """
    if privacy is None:
        return
    for name, count in people.items():
        if privacy.delta_dp * count >= 1:
            raise ValueError(
                f"{FIELD}: expected delta_dp below 1 / {count}, the people of {name}, got"
                f" {privacy.delta_dp:g}."
            )
