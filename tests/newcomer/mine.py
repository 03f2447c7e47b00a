"""A configuration as a newcomer writes one: a few fields over those of the package.

The network, the volumes and the number of rounds are small, so that it trains in seconds.
"""

from fedbrain.configs import brain_age


def get_config():
    """Three hospitals come by --site."""
    config = brain_age.get_config()
    config.prepare = "conform(voxel_size_mm=18.0, shape=(10, 12, 10), mask='nonzero')"
    config.cache = "cache"
    config.model = "adapted_sfcn(channels=(4, 8), dropout=0.2)"
    config.loss = "l1(centre=45.0, scale=15.0)"
    config.rounds = 2
    config.regimes = ("federated",)
    config.client.batch_size = 4
    return config
