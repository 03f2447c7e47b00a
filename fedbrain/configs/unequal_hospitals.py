r"""How should hospitals of 172, 95 and 24 people weigh?

Rules and personal models with ten local steps a round, and fusion in one round, on the data of
configs/hospitals.py.

Command:
    fedbrain compare unequal_hospitals \
        --config.problem="region_volumes('VOLUMES.csv', 'DEMOGRAPHICS.csv')"

Time: 1 min of CPU.

Expect (test MAE in years over 40 splits, of all hospitals and of the smallest one): weights by
examples 5.03 and 7.51, FedCostWAvg 4.99 and 6.69, FedPIDAvg 5.05 and 7.42, RegSimAgg 5.00 and
6.94, meta-analysis 4.99 and 6.58, q-FedAvg 5.01 and 6.17, inverse loss 5.69 and 5.60; in one round
averaged 5.08 and 7.12, merged by Fisher information 5.66 and 7.23.
"""

from fedbrain.configs import hospitals

RULES = {
    "by examples": "weighted_mean()",
    "by square roots": "sqrt_mean()",
    "inverse loss": "inverse_loss()",  # FLightcase's
    "FedCostWAvg": "fedcostwavg(clients=3)",
    "FedPIDAvg": "fedpidavg(clients=3)",
    "RegSimAgg": "regsimagg()",
    # the variance of a first step: (learning rate 0.015 * error of 12 years)^2
    "meta-analysis": "inverse_variance(variance=0.03)",
    "q-FedAvg": "q_fedavg(q=1.0, learning_rate=0.015)",
    "FedMGDA+": "fedmgda_plus(epsilon=0.1)",
}


def get_config():
    """Ridge regression as in `hospitals`; 600 local steps in all."""
    config = hospitals.get_config()
    for name in set(config.methods) - {"alone", "FedAvg", "FedAvg, uniform", "averaged once"}:
        del config.methods[name]
    ten_steps = {"client": {"steps": 10}, "rounds": 60, "every": 60}
    for name, rule in RULES.items():
        config.methods[name] = {"server": {"aggregator": rule}, **ten_steps}
    config.methods["q-FedAvg"].update({"algorithm": "report_global_loss()"})
    # its updates have unit length
    config.methods["FedMGDA+"].server.update({"optimizer": "sgd(0.1)"})
    config.methods.update(
        {
            "APFL": {"algorithm": "apfl(mixture=0.5, learning_rate=0.0)"},
            "fine-tuned": {"algorithm": "fine_tuned()", **ten_steps},
            "Fisher, once": {
                "algorithm": "report_fisher()",
                "server": {"aggregator": "fisher_mean()"},
                "client": {"steps": 600},
                "rounds": 1,
                "every": 1,
            },
        }
    )
    config.choices = {}
    config.against = ("FedAvg",)
    return config
