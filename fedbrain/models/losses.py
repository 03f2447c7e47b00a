"""Losses per example, in target units (years for age). Masking and averaging happen in `task`.

A network regresses `(target - centre) / scale`; `centre` and `scale` are constants of the
experiment, so that no site statistic has to leave a hospital. `centre=0, scale=1` is plain
regression.
"""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.types import Loss


def _regression(cost: Callable[[Array], Array], centre: float, scale: float) -> Loss:
    if not scale > 0:
        raise ValueError(f"Expected scale={scale} > 0.")

    def predict(output: Float[Array, "b 1"]) -> Float[Array, " b"]:
        return centre + scale * output[:, 0].astype(jnp.float32)

    def per_example(output: Float[Array, "b 1"], target: Float[Array, " b"]) -> Float[Array, " b"]:
        return cost(predict(output) - target)

    return Loss(1, per_example, predict)


def l1(centre: float = 0.0, scale: float = 1.0) -> Loss:
    """|prediction - target|, in target units.

    >>> float(l1().per_example(jnp.array([[40.0]]), jnp.array([43.0]))[0])
    3.0
    """
    return _regression(jnp.abs, centre, scale)


def l2(centre: float = 0.0, scale: float = 1.0) -> Loss:
    """(prediction - target)^2 / 2, in squared target units.

    >>> float(l2().per_example(jnp.array([[40.0]]), jnp.array([43.0]))[0])
    4.5
    """
    return _regression(lambda e: 0.5 * e**2, centre, scale)


def huber(threshold: float = 5.0, centre: float = 0.0, scale: float = 1.0) -> Loss:
    """e^2 / 2 for |e| up to a threshold, threshold * (|e| - threshold / 2) beyond.

    Args:
      threshold: in target units; the default is arbitrary.
      centre: of the targets.
      scale: of the targets.

    >>> float(huber(5.0).per_example(jnp.array([[40.0]]), jnp.array([50.0]))[0])
    37.5

    References:
      Huber (1964), https://doi.org/10.1214/aoms/1177703732
    """
    if not threshold > 0:
        raise ValueError(f"Expected threshold={threshold} > 0.")

    def cost(e: Array) -> Array:
        clipped = jnp.clip(jnp.abs(e), max=threshold)
        return clipped * (jnp.abs(e) - 0.5 * clipped)

    return _regression(cost, centre, scale)


def soft_bins(
    low: float = 42.0, high: float = 82.0, width: float = 1.0, sigma: float = 1.0
) -> Loss:
    """Kullback-Leibler divergence from a Gaussian over bins.

    The target N(t, sigma^2) is integrated over bins of `width` between `low` and `high` (all in
    target units); defaults are those of the UK Biobank experiments in the reference. The prediction
    is the expected bin centre.

    >>> soft_bins(20.0, 80.0, width=2.0).outputs
    30

    Returns:
      A loss with (high - low) / width outputs: the logits of the bins.

    Raises:
      ValueError: when the range does not hold a whole number of at least two bins.

    References:
      Peng et al. (2021), https://doi.org/10.1016/j.media.2020.101871
    """
    bins = round((high - low) / width)
    if bins < 2 or abs(low + bins * width - high) > 1e-6 or not sigma > 0:
        raise ValueError(
            "Expected sigma > 0 and [low, high] to hold >= 2 whole bins, got"
            f" {(low, high, width, sigma)}."
        )
    edges = low + width * jnp.arange(bins + 1, dtype=jnp.float32)
    centres = 0.5 * (edges[1:] + edges[:-1])

    def per_example(output: Float[Array, "b k"], target: Float[Array, " b"]) -> Float[Array, " b"]:
        cumulative = jax.scipy.stats.norm.cdf(edges[None], target[:, None], sigma)
        p = jnp.diff(cumulative, axis=1)
        p = p / jnp.clip(p.sum(1, keepdims=True), min=1e-12)
        log_q = jax.nn.log_softmax(output.astype(jnp.float32))
        return jnp.sum(jnp.where(p > 0, p * (jnp.log(jnp.clip(p, min=1e-30)) - log_q), 0.0), axis=1)

    def predict(output: Float[Array, "b k"]) -> Float[Array, " b"]:
        return jax.nn.softmax(output.astype(jnp.float32)) @ centres

    return Loss(bins, per_example, predict)


def class_names(classes: int | tuple[str, ...]) -> tuple[str, ...]:
    """The names of classes in the order of their numbers; of so many classes: their numbers.

    >>> class_names(2), class_names(("F", "M"))
    (('0', '1'), ('F', 'M'))

    Raises:
      ValueError: for fewer than two, a name that is there twice, or one of other characters than
        letters, digits and `-._`.
    """
    names = tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
    plain = all(re.fullmatch(r"[A-Za-z0-9._-]{1,32}", name) for name in names)
    if len(names) < 2 or len(set(names)) < len(names) or not plain:
        raise ValueError(
            "Expected two classes or more, as a number or as names of letters, digits and -._,"
            f" each once, got {classes!r}."
        )
    return names


def cross_entropy(classes: int | tuple[str, ...] = 2) -> Loss:
    """-log softmax(output)[target], for targets 0 .. k - 1 of k classes.

    The prediction is the probability of each class, softmax(output).

    Args:
      classes: how many, or their names as tables write them, in the order of their numbers.

    Returns:
      A loss with as many outputs as classes.
    """
    names = class_names(classes)

    def per_example(output: Float[Array, "b k"], target: Float[Array, " b"]) -> Float[Array, " b"]:
        log_p = jax.nn.log_softmax(output.astype(jnp.float32))
        return -jnp.take_along_axis(log_p, target.astype(jnp.int32)[:, None], axis=1)[:, 0]

    def predict(output: Float[Array, "b k"]) -> Float[Array, "b k"]:
        return jax.nn.softmax(output.astype(jnp.float32))

    return Loss(len(names), per_example, predict, names)


LOSSES = {
    "l1": l1,
    "l2": l2,
    "huber": huber,
    "soft_bins": soft_bins,
    "cross_entropy": cross_entropy,
}
