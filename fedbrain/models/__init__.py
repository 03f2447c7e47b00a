"""Networks, losses and files of weights: the only package that imports flax.

A network maps images [b d h w c] to outputs [b outputs].
"""

from fedbrain.models.densenet import densenet121
from fedbrain.models.sfcn import adapted_sfcn, sfcn
from fedbrain.models.tissue_shares import tissue_shares
from fedbrain.models.wrappers import Frozen, WithCovariates

__all__ = ["MODELS", "Frozen", "WithCovariates"]

MODELS = {
    "densenet121": densenet121,
    "sfcn": sfcn,
    "adapted_sfcn": adapted_sfcn,
    "tissue_shares": tissue_shares,
}
