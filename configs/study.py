"""The fields of a study of algorithms. A study starts from these values and changes some."""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> Any:
    """The fields in the order of a study: problem, training, evaluation, methods."""
    config: Any = ConfigDict()
    config.seed = 0  # the first one; seeds are of split, initial weights, cohorts and batches
    config.seeds = 5
    config.problem = "digits(clients=25)"
    config.model = "linear()"
    config.loss = "cross_entropy(10)"

    # Training: as in configs/base.py, with a number of local steps instead of epochs.
    config.rounds = 100
    config.every = 10  # rounds between evaluations, a divisor of rounds
    config.clock = "rounds()"  # or buffered(size=3, slowest=4.0): FedBuff
    config.cohort = 0  # clients drawn for a round; 0: all
    config.drop_out = 0.0  # probability that a drawn client is absent
    config.regime = "federated"  # federated, local or centralised
    config.algorithm = "fedavg()"
    config.client = ConfigDict(
        {
            "transforms": (),
            "optimizer": "sgd(0.1)",
            "batch_size": 32,
            "steps": 1,
            "upload": "identity()",
        },
        convert_dict=True,
    )
    config.server = ConfigDict(
        {
            "links": (),
            "aggregator": "weighted_mean()",
            "optimizer": "sgd(1.0)",
            "sharing": "everything()",
            "statistics": "mean()",
        }
    )

    # Evaluation: whose model (personal or shared), and at which rounds: last, last_five, or best
    # (chosen on test data, as some published tables are).
    config.evaluated = "personal"
    config.score = "last"

    # The grid. A method or an attack is a nested dictionary of the fields that it sets.
    config.attack = ()  # links before those of the server
    config.label_flip = 0  # number of clients, the last ones, whose labels are flipped
    config.attacks = ConfigDict({"none": {}})
    config.methods = ConfigDict({"FedAvg": {}})

    # Names of further lines: each client chooses among these methods, by cross-validation on its
    # own training examples.
    config.choices = ConfigDict()
    config.folds = 5

    # Methods from which every other one is subtracted, client by client, on the same seeds.
    config.against = ()
    return config
