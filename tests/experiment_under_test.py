"""A whole experiment of seconds, for tests that run it, kill it and repeat it. Also a program: see
`__main__`.
"""

import sys
from pathlib import Path

from absl import flags

from fedbrain.configs import base


def config(
    cache: Path, rounds: int = 4, regimes: tuple[str, ...] = ("federated", "centralised", "local")
):
    """Three synthetic hospitals in memory at 18 mm, a small network with batch norm and a 1x1x1
    convolution.
    """
    c = base.get_config()
    c.sites = {
        h: f"synthetic('{h}', subjects={n})"
        for h, n in (("amber", 15), ("birch", 12), ("cedar", 10))
    }
    c.prepare = "conform(voxel_size_mm=18.0, shape=(10, 12, 10), mask='nonzero')"
    c.cache = str(cache)
    c.model = "adapted_sfcn(channels=(4, 8), dropout=0.2)"
    c.loss = "l1(centre=50.0, scale=15.0)"
    c.rounds = rounds
    c.regimes = regimes
    c.client.batch_size = 4
    c.augment = "augment(flip=True, shift=1)"
    return c


if __name__ == "__main__":  # python -m tests.experiment_under_test WORKDIR CACHE ROUNDS REGIME...
    from fedbrain import cli, main
    from tests.conftest import without_figures

    flags.FLAGS.mark_as_parsed()
    cli.configure()
    with without_figures():
        main.run(
            config(Path(sys.argv[2]), int(sys.argv[3]), tuple(sys.argv[4:])), Path(sys.argv[1])
        )
