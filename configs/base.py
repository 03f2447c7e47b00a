"""The fields of an experiment. A configuration file starts from these and changes some."""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> Any:
    """The fields in the order of an experiment: data, model, training."""
    config: Any = ConfigDict()
    config.seed = 0  # of initial weights, shuffling, augmentation, dropout
    config.unit = "years"  # of the target

    # Data: where scans come from, how they are prepared, who is a client, who trains and who tests.
    config.sites = ConfigDict()  # name -> bids('FOLDER'), arrays('FILE.npz'), synthetic('amber')
    # BIDS suffixes, a channel each; the first must be there, another may be missing
    config.modalities = ("T1w",)
    # "scaled('age', centre=50.0, scale=15.0)", ...: joined to the last layer
    config.covariates = ()
    config.target = "raw()"  # or z_score(), by each site's own training scans
    config.norms = ()  # "regression_norm('site', ...)", ...: targets relative to a country's norm
    # "histogram('target', 0, 100, 10)", ...: columns that sites summarise by sums and coarse counts
    config.describe = ()
    config.prepare = "conform(voxel_size_mm=3.0, shape=(64, 72, 64), mask='foreground')"
    config.cache = "~/.cache/fedbrain/volumes"  # prepared volumes
    config.partition = "by_site()"
    config.splits = ConfigDict(
        {
            "valid": 0.2,  # share of subjects
            "test": 0.2,  # share of subjects
            "seed": 0,
            "first": 0,  # number of the first repeat
            "repeats": 1,  # choices of test subjects
            "inner": 1,  # choices of validation subjects for each of them
            "stratify": "",  # a column; empty: the target
        }
    )
    config.augment = "augment(flip=True, shift=2)"
    config.regimes = ("federated", "centralised", "local")
    # or averaged(flip=True, shift=1): views of a scan over which its prediction is averaged
    config.views = "plain()"
    # "linear('age', 'sex')", "linear('age', model='WORKDIR')": beside the median predictor
    config.baselines = ()

    # Model and training.
    config.model = "densenet121(norm='batch')"
    config.loss = "l1()"
    # where training starts from; or run('WORKDIR'), file('FILE.safetensors'), file('FILE.pt')
    config.initial = "random()"
    # or only_head(), after('transition3'): what does not train is not sent either
    config.trainable = "everything()"
    config.rounds = 100
    # or scaffold(), feddyn(alpha=0.1), ditto(penalty=0.1), ...: docs/aggregation.md
    config.algorithm = "fedavg()"
    config.client = ConfigDict(
        {
            "transforms": (),
            "optimizer": "adam(1e-3)",
            "batch_size": 8,
            "microbatches": 1,  # parts of a batch; gradients need the memory of one part
            "epochs": 1,
            "upload": "identity()",
        }
    )
    config.server = ConfigDict(
        {
            "aggregator": "weighted_mean()",
            "optimizer": "sgd(1.0)",
            "sharing": "everything()",
            "statistics": "mean()",  # batch statistics: mean(), pooled() or local()
            "links": (),  # before the aggregator: clipping, mixing, attacks
            "sampling": "everyone()",  # of a round's clients; or uniform(count=8), cyclic()
            "trusted": (),  # clients that are the server's own, for fltrust()
        }
    )
    config.schedule = "constant()"  # of the clients' learning rate over rounds; or cosine()
    config.patience = ConfigDict({"stop": 0, "plateau": 0, "factor": 0.5})  # rounds; 0: never
    # chosen from measured sizes, and printed; or loop(), chunk(size=4), vmap(), shard(devices=2)
    config.driver = "auto()"
    # of training volumes: streamed() from the host, or resident(dtype='bfloat16') on the device
    config.residence = "auto()"
    config.checkpoint = ConfigDict({"keep": 2})
    return config
