"""A grid of seconds: brain age, then SDMT deep, shallow and from scratch, two seeds; the same
between hospitals and in simulation.
"""

from fedbrain.configs import grid
from tests.experiment_under_test import config as experiment

SITES = ("amber", "birch", "cedar")


def get_config(trees: str = "", cache: str = ""):
    """`trees`: folder of the sites' BIDS trees, for the simulation."""
    config = grid.get_config()
    config.seeds = 2
    for name, label in (("first", "age"), ("second", "sdmt_total")):
        config[name] = experiment(cache, rounds=2, regimes=("federated", "local"))
        config[name].driver, config[name].residence = "loop()", "streamed()"
        columns = {} if name == "first" else {"age": "age"}
        where = f"label={label!r}, columns={columns!r}"
        config[name].sites = {s: f"bids({f'{trees}/{s}'!r}, {where})" for s in SITES}
    config.second.unit = "points"
    config.second.loss = "l1(centre=51.0, scale=10.0)"
    config.second.baselines = ("linear('age')", "linear('age', model='{first}')")
    config.second.describe = ("histogram('target', 0, 110, 11)", "histogram('age', 10, 100, 9)")
    config.second.report_by = ("histogram('age', 10, 100, 2)",)
    config.second.initial = "run('{first}', head=False)"
    return config
