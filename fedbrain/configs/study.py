"""The fields of a study of algorithms. A study starts from these values and changes some.

The comment at a field is its meaning: `fedbrain compare -h` shows it.
"""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> Any:
    """The fields in the order of a study: problem, training, evaluation, methods."""
    config: Any = ConfigDict()
    # the first seed; seeds are of split, initial weights, cohorts and batches
    config.seed = 0
    # number of seeds
    config.seeds = 5
    # clients and their data: a row of `PROBLEMS`, such as `digits(clients)`
    config.problem = "digits(clients=25)"
    # the network: `linear()`, `mlp(widths)`
    config.model = "linear()"
    # the loss: `cross_entropy(classes)`, or one of an experiment
    config.loss = "cross_entropy(10)"

    # Training: as in an experiment, with a number of local steps instead of epochs.

    # number of rounds
    config.rounds = 100
    # rounds between evaluations, a divisor of rounds
    config.every = 10
    # when the server waits for whom: `rounds()`, `in_turn()`, in which clients take turns,
    # `buffered(size=3, slowest=4.0)` (FedBuff), or `power_of_choice(candidates=10)`, in which those
    # with the largest losses train
    config.clock = "rounds()"
    # clients drawn for a round; 0: all
    config.cohort = 0
    # probability that a drawn client is absent
    config.drop_out = 0.0
    # who trains together: `federated`, `local` or `centralised`
    config.regime = "federated"
    # what client and server keep and send beyond the update: docs/aggregation.md
    config.algorithm = "fedavg()"
    config.client = ConfigDict(
        {
            # changes of the gradient before the client's optimiser
            "transforms": (),
            # optimiser of local steps
            "optimizer": "sgd(0.1)",
            # examples in a local step
            "batch_size": 32,
            # local steps in a round
            "steps": 1,
            # compression of the update that a client sends
            "upload": "identity()",
        },
        convert_dict=True,
    )
    config.server = ConfigDict(
        {
            # what is done to updates before the rule: docs/aggregation.md
            "links": (),
            # the rule that combines updates: docs/aggregation.md
            "aggregator": "weighted_mean()",
            # optimiser of the server, one step a round
            "optimizer": "sgd(1.0)",
            # which layers are shared
            "sharing": "everything()",
            # how batch statistics, and what an algorithm sends besides, are combined: `mean()`,
            # `pooled()`, `median()`; `with_rule()` is the median beside a rule that survives wrong
            # clients, and the mean beside others
            "statistics": "with_rule()",
            # clients that are the server's own, for `fltrust()`: in every round, by `c000`, ...
            "trusted": (),
            # what the server does after its step with the examples of these clients: `none()`,
            # `feddf(steps=20, learning_rate=0.1)` (distils the local models, on images alone),
            # `fedlaw(steps=20, learning_rate=0.01)` (learns the weights of the local models)
            "refine": "none()",
        }
    )

    # Evaluation.

    # whose model: `personal` or `shared`
    config.evaluated = "personal"
    # at which rounds: `last`, `last_five`, or `best` (chosen on test data, as some published
    # tables are)
    config.score = "last"

    # The grid. A method or an attack is a nested dictionary of the fields that it sets.

    # links before those of the server, which stand for attackers
    config.attack = ()
    # number of clients, the last ones, whose labels are flipped
    config.label_flip = 0
    # name -> the fields that an attack sets
    config.attacks = ConfigDict({"none": {}}, allow_dotted_keys=True)
    # name -> the fields that a method sets
    config.methods = ConfigDict({"FedAvg": {}}, allow_dotted_keys=True)

    # name -> methods among which each client chooses, by cross-validation on its own training
    # examples: further lines of the table
    config.choices = ConfigDict(allow_dotted_keys=True)
    # parts of that cross-validation
    config.folds = 5

    # Tuning: for every method, under every attack and for every seed, on validation examples.

    config.tune = ConfigDict(
        {
            # settings tried of every method under every attack; 0: nothing is tuned
            "trials": 0,
            # one in so many training examples of each client is for validation; the settings chosen
            # train on all of them
            "parts": 5,
            # fields tuned of every method: a nested dictionary whose ends are tuples of values
            "fields": ConfigDict(),
            # method -> such a dictionary beside it, or several in a tuple: a grid each
            "methods": ConfigDict(allow_dotted_keys=True),
        }
    )

    # methods from which every other one is subtracted, client by client, on the same seeds
    config.against = ()
    return config
