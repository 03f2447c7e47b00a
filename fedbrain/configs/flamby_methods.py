"""The algorithms of FLamby's tables on scikit-learn's breast cancer data.

Settings are FLamby's for Fed-Heart-Disease. FLamby's hospitals are not in an ordinary package; here
four hospitals of unequal size see tumours of unequal radius. What must reproduce are the identities
behind its table: FedYogi is FedAdagrad with another learning rate as long as the second moment is
smaller than the squared step (Reddi et al. 2021), and FedProx with a small mu is FedAvg.

Command:
    fedbrain compare flamby_methods

Time: 26 s on 2 cores.

Expect (accuracy in %, mean and range over 20 seeds): FedAvg and FedProx 96.2 (91.2-100), FedAdagrad
and FedYogi 97.3 (93.8-99.1), pooled 96.5 (92.9-100), the commonest class 62.9 (55.8-68.1).
"""

from fedbrain.configs import study


def get_config():
    """Logistic regression, 15 rounds of 100 updates of 4 examples, 20 seeds."""
    config = study.get_config()
    config.problem = "breast_cancer(clients=4)"
    config.loss = "cross_entropy(2)"
    config.seeds = 20
    config.rounds = 15
    config.every = 15
    config.client.optimizer = "sgd(0.001)"
    config.client.batch_size = 4
    config.client.steps = 100
    config.methods.update(
        {
            "FedAvg": {"server": {"aggregator": "uniform_mean()"}},
            "FedProx": {
                "server": {"aggregator": "uniform_mean()"},
                "client": {"transforms": ("add_proximal_term(0.0001)",)},
            },
            "SCAFFOLD": {"server": {"aggregator": "uniform_mean()"}, "algorithm": "scaffold()"},
            "FedAdagrad": {"server": {"optimizer": "fedadagrad(0.316228, b1=0.9, tau=1e-8)"}},
            "FedAdam": {"server": {"optimizer": "fedadam(0.01, b2=0.999, tau=1e-8)"}},
            "FedYogi": {"server": {"optimizer": "fedyogi(0.01, b2=0.999, tau=1e-8)"}},
            "one hospital a round": {"cohort": 1},
            "alone": {"regime": "local"},
            "pooled": {"regime": "centralised"},
        }
    )
    return config
