"""The fields of an experiment. A configuration file starts from these and changes some.

The comment at a field is its meaning: `fedbrain train -h` and docs/configuration.md show it.
"""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> Any:
    """The fields in the order of an experiment: data, model, training."""
    config: Any = ConfigDict()
    # seed of initial weights, shuffling, augmentation and dropout
    config.seed = 0
    # unit of the target, as tables print it
    config.unit = "years"

    # Data: where scans come from, how they are prepared, who is a client, who trains and who tests.

    # where the scans of each site come from: `bids('FOLDER')`, `arrays('FILE.npz')`,
    # `synthetic('amber')`; or `--site NAME=FOLDER`
    config.sites = ConfigDict()
    # BIDS suffixes, one channel each; the first must be there, others may be missing
    config.modalities = ("T1w",)
    # columns that join the last layer: `scaled(column, centre, scale)`
    config.covariates = ()
    # the label in its own unit, `raw()`, or standardised by each site's own training scans,
    # `z_score()`
    config.target = "raw()"
    # targets relative to a country's norm: `regression_norm(site, sd)`
    config.norms = ()
    # columns that each site summarises by sums and coarse counts:
    # `histogram(column, low, high, bins)`, `classes(column, 0, 1)`
    config.describe = ()
    # columns by whose classes the error on test scans is told too; classes of fewer than 5 people
    # are merged: `classes('sex', 0, 1)`, `histogram('target', 20, 80, 3)`
    config.report_by = ()
    # how scans are prepared: `conform(voxel_size_mm, shape, mask)`; `registered(...)`, where all
    # images share a space; with `storage='int8'` prepared volumes take a quarter of the disk
    config.prepare = "conform(voxel_size_mm=3.0, shape=(64, 72, 64), mask='foreground')"
    # what is taken out of prepared images: nothing, `none()`, or how each site shifts every voxel,
    # by ComBat on training scans, `voxelwise('target', 'sex')`: the columns whose effect stays
    config.harmonise = "none()"
    # folder of prepared volumes
    config.cache = "~/.cache/fedbrain/volumes"
    # what a client is: a site, `by_site()`, or one of several simulated hospitals: with different
    # targets, `by_target(clients, overlap)` and, sorted, `shards(clients, each)`; with unequal
    # classes, `dirichlet_labels(clients, alpha)`, or sizes, `dirichlet_sizes(clients, alpha)`; with
    # other scanners, `by_scanner(clients, strength)`
    config.partition = "by_site()"
    config.splits = ConfigDict(
        {
            # share of subjects for validation
            "valid": 0.2,
            # share of subjects for the test
            "test": 0.2,
            # seed of the splits
            "seed": 0,
            # number of the first repeat
            "first": 0,
            # number of repeats: parts of the cross-validation, each with its own test subjects
            "repeats": 1,
            # inner splits of each repeat, with other validation subjects; predictions are averaged
            "inner": 1,
            # column by which splits are stratified; empty: the target; `sex,target`: by the
            # target within each sex, unknown ones apart
            "stratify": "",
        }
    )
    # random changes of training images: `none()`,
    # `augment(flip, shift, rotate_deg, scale, intensity, modality_dropout)`
    config.augment = "augment(flip=True, shift=2)"
    # which models are trained: one by all clients (`federated`), one on all training scans
    # together (`centralised`), one at each client (`local`), for each client one by all others,
    # tested on its test scans (`leave_one_site_out`)
    config.regimes = ("federated", "centralised", "local")
    # views of a scan over which its prediction is averaged: `plain()`, `averaged(flip, shift)`
    config.views = "plain()"
    # regressions beside the median predictor, fitted from sums: `linear('age', 'sex')`,
    # `linear('age', model='WORKDIR')`
    config.baselines = ()

    # Model and training.

    # the network: `densenet121()`, `sfcn()`, `adapted_sfcn()`; of few people with registered
    # brains: `tissue_shares()`
    config.model = "densenet121(norm='batch')"
    # the loss, in target units; its arguments `centre` and `scale` are a typical mean and SD:
    # `l1()`, `l2()`, `huber()`, `soft_bins()`; of classes, as a number or their names in order:
    # `cross_entropy(2)`, `cross_entropy(('F', 'M'))`
    config.loss = "l1()"
    # where training starts: `random()`, `run('WORKDIR')`, `file('MODEL.safetensors')`,
    # `file('MODEL.pt')`
    config.initial = "random()"
    # which layers train; the others are not sent either: `everything()`, `only_head()`,
    # `after('transition3')`, changes of low rank of all but the head `low_rank(4)` (LoRA),
    # `low_rank_up(4)`
    config.trainable = "everything()"
    # number of rounds
    config.rounds = 100
    # what client and server keep and send beyond the update: docs/aggregation.md
    config.algorithm = "fedavg()"
    config.client = ConfigDict(
        {
            # changes of the gradient before the client's optimiser: `add_proximal_term(mu)`
            # (FedProx), `clip_by_global_norm(1.0)`, `add_decayed_weights(1e-4)`
            "transforms": (),
            # optimiser of local steps: `adam(1e-3)`, `adamw(1e-3)`, `sgd(0.1)`, `yogi(1e-3)`
            "optimizer": "adam(1e-3)",
            # scans in a local step
            "batch_size": 8,
            # parts in which the gradient of a batch is computed, to save memory; a divisor of
            # the batch size
            "microbatches": 1,
            # local epochs in a round
            "epochs": 1,
            # compression of the update that a client sends: `identity()`, `bfloat16()`, `int8()`,
            # `int8_with_feedback()`, `top_k(density)`, `scaled_sign()`
            "upload": "identity()",
            # differential privacy of a client's people, with one step a round: `none()`,
            # `dp_fedsgd(noise_multiplier, clip_norm, loss_bound)`: docs/privacy.md
            "privacy": "none()",
        }
    )
    config.server = ConfigDict(
        {
            # the rule that combines updates: docs/aggregation.md
            "aggregator": "weighted_mean()",
            # optimiser of the server, one step a round: `sgd(1.0)`, `fedavgm()`, `fedadam(0.01)`,
            # `fedadagrad(0.01)`, `fedyogi(0.01)`, `diloco()`, `scheduled(1.0, rounds)`, and those
            # of clients
            "optimizer": "sgd(1.0)",
            # which layers are shared: `everything()`, `without_batch_norm()` (FedBN),
            # `without_head()` (FedPer), `only_head()`
            "sharing": "everything()",
            # how batch statistics, and what an algorithm sends besides, are combined: `mean()`,
            # `pooled()`, `local()`, or `median()`, which no minority spoils; `with_rule()` is the
            # median beside a rule that survives wrong clients, and the mean beside others
            "statistics": "with_rule()",
            # what is done to updates before the rule, clipping for instance: docs/aggregation.md
            "links": (),
            # which clients take part in a round: `everyone()`, `uniform(count)`, `cyclic()`
            "sampling": "everyone()",
            # clients that are the server's own, for `fltrust()`
            "trusted": (),
        }
    )
    # the clients' learning rate over rounds: `constant()`, `cosine()`
    config.schedule = "constant()"
    config.patience = ConfigDict(
        {
            # rounds without a better validation loss until training stops; 0: never
            "stop": 0,
            # rounds without a better validation loss until the learning rate falls; 0: never
            "plateau": 0,
            # factor by which the learning rate falls, above 0 and below 1
            "factor": 0.5,
        }
    )
    # how the clients of a round are computed: `auto()`, `loop()`, `chunk(size)`, `vmap()`,
    # `shard(devices)`, `shard(devices, batch)`, `processes(loop())`
    config.driver = "auto()"
    # where training volumes lie: `auto()`, `streamed()`, `resident(dtype)`
    config.residence = "auto()"
    config.checkpoint = ConfigDict(
        {
            # number of checkpoints that are kept, at least 2
            "keep": 2,
        }
    )
    return config
