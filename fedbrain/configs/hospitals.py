r"""Is the small hospital hurt? Age from region volumes of three real hospitals.

Models are trained alone, pooled, averaged and personalised.

Command:
    fedbrain compare hospitals \
        --config.problem="region_volumes('VOLUMES.csv', 'DEMOGRAPHICS.csv')"

Time: not measured.

Expect (test MAE in years over 40 splits, hospitals Guys, HH, IOP): alone 5.31, 4.37, 5.86; pooled
4.94, 4.69, 6.46; each hospital's own choice of FedAvg or Ditto 4.94, 4.36, 5.43.
"""

from fedbrain.configs import study


def get_config():
    """Ridge regression by full-batch gradient steps; 40 splits of people."""
    config = study.get_config()
    config.problem = "region_volumes('', '')"
    config.seeds = 40
    config.loss = "l2(centre=58.0)"
    config.rounds = 600
    config.every = 600
    config.client.transforms = ("add_decayed_weights(1.0)",)
    config.client.optimizer = "sgd(0.015)"
    config.client.batch_size = 1000  # everybody
    config.methods.update(
        {
            "alone": {"regime": "local"},
            "pooled": {"regime": "centralised"},
            "FedAvg": {},
            "Ditto 1": {"algorithm": "ditto(1.0)"},
            "Ditto 10": {"algorithm": "ditto(10.0)"},
            "FedAvg, uniform": {"server": {"aggregator": "uniform_mean()"}},
            "FedAvg, 50 local steps": {"client": {"steps": 50}, "rounds": 12, "every": 12},
            "agnostic": {
                "algorithm": "report_global_loss()",
                "server": {"aggregator": "agnostic(clients=3, step=0.001)"},
            },
            "averaged once": {
                "client": {"steps": 600},
                "rounds": 1,
                "every": 1,
                "server": {"aggregator": "uniform_mean()"},
            },
        }
    )
    config.choices.update({"own choice: FedAvg or Ditto 1": ("FedAvg", "Ditto 1")})
    config.folds = 10
    config.against = ("alone", "pooled")
    return config
