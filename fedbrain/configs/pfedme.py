"""Personalised models on Synthetic(.5, .5), the table of the pFedMe paper.

Dinh et al. (2020), https://arxiv.org/abs/2006.08848. 100 clients, 205,795 examples, multinomial
logistic regression, 600 rounds of 20 steps of 20 examples, 10 clients a round; the best test
accuracy of all rounds, as published.

Command:
    fedbrain compare pfedme

Time: 5 min 26 s on 2 busy cores.

Expect, SYNTHETIC by construction (accuracy in %, mean and range over five seeds; published):
FedAvg 77.67 (77.31-78.19; 77.62), pFedMe global 78.81 (78.35-79.37; 78.65), personal 83.16
(82.76-83.57; 83.20).
"""

from fedbrain.configs import study


def get_config():
    """The authors' learning rates for this table."""
    config = study.get_config()
    config.problem = "synthetic(alpha=0.5, beta=0.5)"
    config.rounds = 600
    config.every = 10
    config.cohort = 10
    config.client.optimizer = "sgd(0.005)"
    config.client.batch_size = 20
    config.client.steps = 20
    config.score = "best"
    pfedme = {
        "algorithm": "pfedme(penalty=20.0, inner_steps=5, inner_learning_rate=0.01)",
        "client": {"optimizer": "sgd(0.01)"},
        "server": {"optimizer": "sgd(2.0)"},  # the paper's beta
    }
    config.methods.update(
        {
            "FedAvg": {"evaluated": "shared"},
            "pFedMe, global": {"evaluated": "shared", **pfedme},
            "pFedMe, personal": pfedme,
        }
    )
    return config
