"""Personal models of four hospitals that see tumours of unequal size.

The data of configs/flamby_methods.py, with an MLP whose head can stay at a hospital.

Command:
    fedbrain compare personal_models

Time: 1 min of CPU.

Expect (accuracy in %, 95 % interval of the mean over 20 seeds): FedAvg 97.5 (96.8 to 98.2), FedPer
97.5 (96.8 to 98.1), FedRep 97.4 (96.7 to 98.1), alone 96.6 (96.1 to 97.2).
"""

from fedbrain.configs import study


def get_config():
    """30 rounds of 20 updates of 16 examples, 20 seeds."""
    config = study.get_config()
    config.problem = "breast_cancer(clients=4)"
    config.model = "mlp(widths=(16,))"
    config.loss = "cross_entropy(2)"
    config.seeds = 20
    config.rounds = 30
    config.every = 30
    config.client.optimizer = "sgd(0.05)"
    config.client.batch_size = 16
    config.client.steps = 20
    private_head = {"server": {"sharing": "without_head()"}}
    config.methods.update(
        {
            "alone": {"regime": "local"},
            "FedPer": private_head,
            "FedRep": {"algorithm": "fedrep(head_steps=10)", **private_head},
            "Ditto": {"algorithm": "ditto(0.1)"},
            "APFL": {"algorithm": "apfl(mixture=0.5, learning_rate=0.01)"},
            "fine-tuned": {"algorithm": "fine_tuned()"},
        }
    )
    config.against = ("FedAvg",)
    return config
