"""ComBat of voxels from sums over sites: how a site shifts every voxel, and images without that.

    y_ijv = alpha_v + x_ij' beta_v + sigma_v (gamma_iv + e_ijv)

    i: site, j: scan, v: voxel, x: covariates whose effect is kept.
    a site tells first   n_i, sum x, sum (x - mean)(x - mean)', sum y, sum (x - mean) y
    it is told           alpha and beta, from the sums of all sites
    it tells then        sum_j (y_ij - a_i - x_ij' beta)^2,   a_i = mean y - mean x' beta
    it is told           sigma, from the sum of these
    gamma_hat_i          (a_i - alpha) / sigma
    gamma_i              (n_i t^2 gamma_hat + m) / (n_i t^2 + 1),   m, t^2: over the site's voxels

Only sums over all sites enter alpha, beta and sigma, and nothing but them enters gamma: a site
estimates its own shift, and tells nobody. It is a volume, the same for everybody at the site, so
nothing of a person's covariates enters a corrected image. This is `combat` without a change of the
spread. What is told is float32, as it is between hospitals: a simulation has the same bits.

References:
  Fortin et al. (2017), voxel-wise, https://doi.org/10.1016/j.neuroimage.2017.08.047
  Johnson, Li and Rabinovic (2007), https://doi.org/10.1093/biostatistics/kxj037
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.combat import require_distinct
from fedbrain.data.dataset import Scans

MOST = 3  # covariates; each is a volume more that leaves a site
FLAT = 1e-6  # SD of voxels that do not vary, such as those around the brain; z-scored images
ROUNDED = 1e-6  # relative: what float32 leaves of covariates that follow from others
Volumes = Sequence[np.ndarray]


class Kept(NamedTuple):
    """What voxel-wise ComBat keeps of people."""

    columns: tuple[str, ...]  # names of covariates; "target" is the label


def none() -> None:
    """Images stay as they are prepared."""


def voxelwise(*columns: str) -> Kept:
    """Takes out how each site shifts every voxel, and keeps the linear effect of columns.

    Args:
      columns: age, sex, ...; `target` is the label itself.

    >>> voxelwise("target").columns
    ('target',)
    """
    if len(columns) > MOST or len(set(columns)) < len(columns):
        raise ValueError(f"Expected at most {MOST} columns, each once, got {columns}.")
    return Kept(columns)


HARMONISES = {"none": none, "voxelwise": voxelwise}


class Told(NamedTuple):
    """What a site tells first of its training scans; float32."""

    covariates: Float[np.ndarray, " m"]  # n, k sums, k k sums of products around means
    total: Float[np.ndarray, " v"]  # of each voxel
    products: Float[np.ndarray, " kv"]  # of each covariate around its mean with each voxel


class Common(NamedTuple):
    """What all sites share; float32."""

    height: Float[np.ndarray, " v"]  # alpha
    slopes: Float[np.ndarray, " kv"]  # beta


def values_of(name: str, scans: Scans, kept: Kept) -> Float[np.ndarray, "n k"]:
    """The covariates of scans.

    Args:
      name: of the site.
      scans: whose.
      kept: their columns.

    Raises:
      ValueError: naming the site and a column that is not there, or not known of everybody.
    """
    columns = {**scans.columns, "target": scans.target}
    for column in kept.columns:
        have = column in columns
        unknown = int((~np.isfinite(columns[column])).sum()) if have else len(scans)
        if unknown:
            raise ValueError(
                f"config.harmonise: expected a value of {column!r} for every scan at {name}, got"
                f" none for {unknown} of {len(scans)}. Name the column in config.sites.{name},"
                " leave these scans out, or leave the column out."
            )
    picked = [columns[column].astype(np.float64) for column in kept.columns]
    return np.stack(picked, 1) if picked else np.zeros((len(scans), 0))


def _flat(volumes: Volumes) -> Iterable[np.ndarray]:
    return (np.asarray(volume, np.float64).ravel() for volume in volumes)


def tell(volumes: Volumes, x: Float[np.ndarray, "n k"]) -> Told:
    """What a site tells first.

    Args:
      volumes: of its training scans.
      x: their covariates.
    """
    around = x - x.mean(0)
    total: np.ndarray = np.zeros(volumes[0].size)
    products = np.zeros((x.shape[1], total.size))
    for y, of_scan in zip(_flat(volumes), around):
        total += y
        for row, value in zip(products, of_scan):
            row += value * y
    numbers = np.concatenate([[len(x)], x.sum(0), (around.T @ around).ravel()])
    return Told(*(part.astype(np.float32) for part in (numbers, total, products.ravel())))


def _parts(told: Told, k: int) -> tuple[float, np.ndarray, np.ndarray]:
    """(n, sums, sums of products) of covariates, in float64."""
    numbers = told.covariates.astype(np.float64)
    return numbers[0], numbers[1 : k + 1], numbers[k + 1 :].reshape(k, k)


def _rows(flat: np.ndarray, k: int, voxels: int) -> np.ndarray:
    """[k v] in float64, also for no covariate."""
    return flat.astype(np.float64).reshape(k, voxels)


def combine(told: Sequence[Told], k: int) -> Common:
    """The regression of all sites' scans, with a height of its own for every site.

    Args:
      told: by every site, in the order of their names.
      k: covariates.

    Raises:
      ValueError: where covariates cannot be told from sites, or one from another.
    """
    parts = [_parts(one, k) for one in told]
    people, sums, gram = (sum(column) for column in zip(*parts))
    size = np.sum([np.diag(w) + s**2 / n for n, s, w in parts], axis=0)  # around zero
    require_distinct(np.asarray(gram), size, ROUNDED)
    total = np.add.reduce([one.total.astype(np.float64) for one in told])
    right = np.add.reduce([_rows(one.products, k, total.size) for one in told])
    slopes = np.linalg.solve(gram, right) if k else right
    height = (total - np.asarray(sums) @ slopes) / people
    return Common(height.astype(np.float32), slopes.ravel().astype(np.float32))


def _own_height(told: Told, common: Common, k: int) -> np.ndarray:
    people, sums, _ = _parts(told, k)
    slopes = _rows(common.slopes, k, common.height.size)
    return (told.total - sums @ slopes) / people


def squares(
    volumes: Volumes, x: Float[np.ndarray, "n k"], told: Told, common: Common
) -> Float[np.ndarray, " v"]:
    """What a site tells then: of each voxel the sum of squared residuals, float32.

    Args:
      volumes: of its training scans.
      x: their covariates.
      told: what it told first.
      common: what it was told.
    """
    slopes = _rows(common.slopes, x.shape[1], common.height.size)
    height = _own_height(told, common, x.shape[1])
    found = np.zeros_like(height)
    for y, of_scan in zip(_flat(volumes), x):
        found += (y - height - of_scan @ slopes) ** 2
    return found.astype(np.float32)


def spread(told: Sequence[np.ndarray], people: int) -> Float[np.ndarray, " v"]:
    """sigma of every voxel, float32; 0 where voxels do not vary.

    Args:
      told: squares, by every site, in the order of their names.
      people: scans that they are of.
    """
    sigma = np.sqrt(np.add.reduce([one.astype(np.float64) for one in told]) / people)
    return np.where(sigma > FLAT, sigma, 0).astype(np.float32)


def shift(told: Told, common: Common, sigma: Float[np.ndarray, " v"]) -> Float[np.ndarray, " v"]:
    """What a site takes away from every voxel of its images, float32; 0 where voxels do not vary.

    Args:
      told: what the site told first.
      common: the regression.
      sigma: of every voxel.
    """
    k = len(common.slopes) // len(common.height)
    varies = sigma > 0
    rough = _own_height(told, common, k)[varies] - common.height[varies]
    rough = rough / sigma[varies]
    found = np.zeros(len(sigma), np.float32)
    if rough.size < 2:
        return found
    weight = float(told.covariates[0]) * rough.var(ddof=1)
    found[varies] = sigma[varies] * (weight * rough + rough.mean()) / (weight + 1)
    return found
