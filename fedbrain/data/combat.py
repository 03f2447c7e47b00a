"""ComBat from sums: how a site shifts and spreads each feature, and features without that.

    y_ijf = alpha_f + x_ij' beta_f + sigma_f (gamma_if + sqrt(delta_if) e_ijf)

    i: site, j: person, f: feature, x: covariates whose effect is kept.
    a site tells first   n, X'X, X'y               X = [1 x], of training people
    it is told           its height a_i = mean y - mean x' beta, and beta
    it tells then        sum_j (y_ij - a_i - x_ij' beta)^2, a number a feature
    alpha                sum_i n_i a_i / n
    sigma^2              all these sums of squares / n
    gamma_hat            (a_i - alpha) / sigma
    delta_hat            the site's sum of squares / ((n_i - 1) sigma^2)

gamma and delta are then drawn towards their distributions over the features of the site, normal and
inverse gamma, whose parameters are moments of gamma_hat and delta_hat:

    gamma  (n t^2 gamma_hat + delta m) / (n t^2 + delta)
    delta  (b + sum_j (z_ij - gamma)^2 / 2) / (a + n / 2 - 1)

in turns until both rest. Everything is as if the people of all sites were in one table.

References:
  Johnson, Li and Rabinovic (2007), https://doi.org/10.1093/biostatistics/kxj037
  Fortin et al. (2018), https://doi.org/10.1016/j.neuroimage.2017.11.024
  Chen et al. (2022), https://doi.org/10.1016/j.neuroimage.2021.118822
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, " p"]
TURNS = 10_000  # of the two equations; a hundred are usual
REST = 1e-12  # relative change of gamma and delta at which they rest


class Sums(NamedTuple):
    """What a site tells first: X = [1 x], float64."""

    xx: Float[np.ndarray, "k+1 k+1"]  # X'X; its first number counts people
    xy: Float[np.ndarray, "k+1 p"]  # X'y

    @property
    def people(self) -> int:
        """How many they are of."""
        return round(self.xx[0, 0])


class Common(NamedTuple):
    """The regression that all sites share."""

    heights: Mapping[str, Features]  # site -> a_i, in the features' units
    slopes: Float[np.ndarray, "k p"]  # beta


class Effect(NamedTuple):
    """What a site does to features."""

    shift: Features  # gamma, in sigma
    spread: Features  # delta, of the variance


class Combat(NamedTuple):
    """All that is needed to take the effects of sites away."""

    height: Features  # alpha
    slopes: Float[np.ndarray, "k p"]  # beta
    scale: Features  # sigma
    effects: Mapping[str, Effect]


def sums(x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n p"]) -> Sums:
    """What a site tells first of its training people.

    Args:
      x: covariates.
      y: features.
    """
    design = np.concatenate([np.ones((len(x), 1)), x], 1, dtype=np.float64)
    return Sums(design.T @ design, design.T @ y)


def solve(told: Mapping[str, Sums]) -> Common:
    """The regression of all sites' people, with a height of its own for every site.

    Args:
      told: site -> what it told first.

    Raises:
      ValueError: where covariates cannot be told from sites, or one from another.
    """
    within = []
    for site in told.values():
        mean = site.xx[0, 1:, None] / site.people
        within.append((site.xx[1:, 1:] - mean * site.xx[:1, 1:], site.xy[1:] - mean * site.xy[:1]))
    gram, right = (sum(parts) for parts in zip(*within))
    size = np.asarray(sum(np.diag(s.xx)[1:] for s in told.values()))
    require_distinct(np.asarray(gram), size)
    slopes = np.linalg.solve(gram, right) if len(size) else np.zeros_like(right)
    heights = {
        name: (s.xy[0] - s.xx[0, 1:] @ slopes) / s.people for name, s in sorted(told.items())
    }
    return Common(heights, slopes)


def require_distinct(
    gram: Float[np.ndarray, "k k"], size: Float[np.ndarray, " k"], tolerance: float = 1e-9
) -> None:
    """Refuses covariates whose effect cannot be told from that of a site, or of another one.

    Args:
      gram: sums of products around the means of sites.
      size: sums of squares.
      tolerance: relative, above what rounding leaves of 0.

    Raises:
      ValueError: for such covariates.
    """
    root = np.sqrt(np.maximum(size, 1e-300))
    scaled = gram / np.outer(root, root)
    if np.linalg.matrix_rank(scaled, tol=tolerance, hermitian=True) < len(root):
        raise ValueError(
            "Expected covariates that differ within sites, and none that follows from the others,"
            " got some that do not. Leave such covariates out."
        )


def squares(
    common: Common, site: str, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n p"]
) -> Features:
    """What a site tells then: the sum of squared residuals of each feature.

    Args:
      common: what it was told.
      site: its name.
      x: covariates of its training people.
      y: their features.
    """
    return ((y - common.heights[site] - x @ common.slopes) ** 2).sum(0)


def estimate(
    common: Common, people: Mapping[str, int], told: Mapping[str, Features], *, spread: bool = True
) -> Combat:
    """The effects of sites by empirical Bayes.

    Args:
      common: the regression.
      people: site -> training people.
      told: site -> sums of squared residuals.
      spread: whether sites change the spread too. Without it delta is 1; the corrected features of
        a person then do not depend on the person's covariates.

    Raises:
      FollowsError: for a feature without residuals at some site.
    """
    total = sum(people.values())
    height = sum(people[name] / total * a for name, a in common.heights.items())
    scale = np.sqrt(sum(told.values()) / total)
    effect = np.abs(common.slopes).max(0, initial=0.0)  # of one unit of a covariate
    for name, residual in told.items():
        # a feature that equals a covariate has no height, and no scale but its rounding
        size = np.max([np.abs(common.heights[name]), effect, scale], axis=0)
        [without] = np.nonzero(residual <= 1e-18 * people[name] * size**2)
        if without.size:
            raise FollowsError(name, int(without[0]))
    effects = {}
    for name, a in common.heights.items():
        n, shift = people[name], (a - height) / scale
        residual = told[name] / scale**2
        effects[name] = _towards_all(n, shift, residual, spread=spread)
    return Combat(np.asarray(height), common.slopes, scale, effects)


class FollowsError(ValueError):
    """A feature that is the same for everybody at a site, or follows from the covariates."""

    def __init__(self, site: str, feature: int):
        super().__init__(f"{site}: feature {feature} is constant or follows from the covariates.")
        self.site, self.feature = site, feature


def _towards_all(n: int, shift: Features, residual: Features, *, spread: bool) -> Effect:
    """Shrinks a site's estimates towards what its features have in common.

    Args:
      n: training people.
      shift: gamma_hat.
      residual: sums of squares of z around its mean.
      spread: whether delta is estimated; else it is 1.
    """
    mean, variance = shift.mean(), shift.var(ddof=1)
    rough = residual / (n - 1)
    m, v = rough.mean(), rough.var(ddof=1)
    gamma, delta = shift, rough if spread else np.ones_like(rough)
    for _ in range(TURNS):
        before = gamma, delta
        gamma = (n * variance * shift + delta * mean) / (n * variance + delta)
        if spread and v > 0:
            around = residual + n * (shift - gamma) ** 2
            a, b = 2 + m**2 / v, m + m**3 / v
            delta = (b + around / 2) / (a + n / 2 - 1)
        moved = (
            np.abs(gamma - before[0]) / (np.abs(gamma) + np.sqrt(delta)),
            np.abs(delta - before[1]) / delta,
        )
        if max(part.max() for part in moved) < REST:
            break
    return Effect(gamma, delta)


def fit(
    sites: Mapping[str, tuple[Float[np.ndarray, "_ k"], Float[np.ndarray, "_ p"]]],
    *,
    spread: bool = True,
) -> Combat:
    """All of the above in one place: site -> (covariates, features) of its training people.

    Args:
      sites: their people.
      spread: see `estimate`.
    """
    first = {name: sums(x, y) for name, (x, y) in sites.items()}
    common = solve(first)
    then = {name: squares(common, name, x, y) for name, (x, y) in sites.items()}
    return estimate(common, {n: s.people for n, s in first.items()}, then, spread=spread)


def apply(
    combat: Combat, site: str, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n p"]
) -> Float[np.ndarray, "n p"]:
    """Features as if the people had been measured at no site in particular.

    Args:
      combat: fitted on training people, of whom these may be others.
      site: where they were measured.
      x: their covariates.
      y: their features.
    """
    expected = combat.height + x @ combat.slopes
    gamma, delta = combat.effects[site]
    return (y - expected - combat.scale * gamma) / np.sqrt(delta) + expected
