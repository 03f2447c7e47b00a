"""Can features tell the site? A linear discriminant that is tested on people it has not seen.

    score_k(x) = x' S^-1 m_k - m_k' S^-1 m_k / 2 + log share_k
    S = (1 - a) C + a tr(C) / p I,    C: covariance within sites

m_k are means of sites; a is chosen by Ledoit and Wolf's formula, so that there may be more features
than people. Features are standardised by training people first. A linear rule sees shifts of means,
not differences of spread alone.

References:
  Fisher (1936), https://doi.org/10.1111/j.1469-1809.1936.tb02137.x
  Ledoit and Wolf (2004), https://doi.org/10.1016/S0047-259X(03)00096-4
"""

import numpy as np
from jaxtyping import Float, Int


def shrinkage(residuals: Float[np.ndarray, "n p"]) -> float:
    """Ledoit and Wolf's share of the scaled identity in a covariance.

    Args:
      residuals: centred values.
    """
    n, p = residuals.shape
    covariance = residuals.T @ residuals / n
    mean = np.trace(covariance) / p
    distance = ((covariance - mean * np.eye(p)) ** 2).sum() / p
    squares = residuals**2
    noise = (((squares.T @ squares) / n - covariance**2).sum() / p) / n
    return float(min(max(noise, 0.0), distance) / distance) if distance > 0 else 1.0


def probabilities(
    x: Float[np.ndarray, "n p"],
    site: Int[np.ndarray, " n"],
    new: Float[np.ndarray, "m p"],
    sites: int,
) -> Float[np.ndarray, "m k"]:
    """How likely each site is for new people.

    Args:
      x: features of training people.
      site: their sites' numbers; each occurs.
      new: features of others.
      sites: how many there are.
    """
    centre, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    x, new = (x - centre) / scale, (new - centre) / scale
    means = np.stack([x[site == k].mean(0) for k in range(sites)])
    residuals = x - means[site]
    a, p = shrinkage(residuals), x.shape[1]
    covariance = residuals.T @ residuals / len(x)
    covariance = (1 - a) * covariance + a * np.trace(covariance) / p * np.eye(p)
    towards = np.linalg.lstsq(covariance, means.T, rcond=None)[0]  # all may be constant
    shares = np.bincount(site, minlength=sites) / len(site)
    scores = new @ towards - (means.T * towards).sum(0) / 2 + np.log(shares)
    exponents = np.exp(scores - scores.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)
