"""What a job may call at a site that says nothing else: names, and the range of every argument.

What has no row here, or a row that is not opened, runs only where `[allow]` of `site.toml` names
it. Nothing that is opened sends anything of a single person; arguments stay where training is
training. A learning rate near 0, or a bin that holds one person, would be a question about people.
"""

from collections.abc import Mapping

from fedbrain.aggregators import AGGREGATORS, BESIDE, KEEPING
from fedbrain.aggregators.attacks import EVERY
from fedbrain.algorithms import SHARING, VARIANTS
from fedbrain.algorithms.optimizers import OPTIMIZERS, SERVER_OPTIMIZERS, TRANSFORMS, UPLOADS
from fedbrain.algorithms.private import PRIVACY
from fedbrain.algorithms.schedules import SCHEDULES
from fedbrain.algorithms.trainable import TRAINABLE
from fedbrain.data.augment import AUGMENTS
from fedbrain.data.bands import BANDS
from fedbrain.data.describe import HISTOGRAMS
from fedbrain.data.inputs import SCALINGS
from fedbrain.data.partition import PARTITIONS
from fedbrain.data.prepared_file import STORAGES
from fedbrain.data.recipes import RECIPES
from fedbrain.data.regimes import REGIMES
from fedbrain.data.targets import NORMS, TARGETS
from fedbrain.data.views import VIEWS
from fedbrain.data.voxel_combat import HARMONISES
from fedbrain.data.voxel_combat import MOST as MOST_KEPT
from fedbrain.deploy.protocol.first_model import STARTS
from fedbrain.deploy.protocol.linear import LINEAR, MOST
from fedbrain.deploy.protocol.reveals import ALGORITHMS
from fedbrain.deploy.site_side.bounds import either, flag, number, one_of, several, whole, word
from fedbrain.deploy.site_side.calls import Calls, at_server, calls, without_arguments
from fedbrain.deploy.site_side.opened_algorithms import RANGES
from fedbrain.experiments.spec import factories
from fedbrain.models import MODELS
from fedbrain.models.losses import LOSSES
from fedbrain.training.device_volumes import RESIDENCES
from fedbrain.training.maps import DRIVERS
from fedbrain.training.sampling import SAMPLINGS

NET = {"norm": one_of("batch", "group"), "dropout": number(0, 0.9)}
NET |= {"dtype": one_of("float32", "bfloat16")}
GRID = {
    "voxel_size_mm": number(0.5, 20),
    "shape": several(whole(8, 320), 3, least=3),
    "storage": one_of(*STORAGES),
}
RATE = {"learning_rate": number(1e-5, 1.0)}  # below, all steps are one: an exact gradient
MOMENTS = {**RATE, "b1": number(0, 0.999), "b2": number(0, 0.9999), "eps": number(1e-12, 1e-2)}
CENTRED = {"centre": number(-1e4, 1e4), "scale": number(0.01, 1e4)}
LEVELS = {"block": whole(16, 1 << 20), "seed": whole(0, 2**31 - 1)}
SHARE = number(0, 1)
EDGE = number(-1e4, 1e4)
CLASSES = {
    "histogram": {"column": word(), "low": EDGE, "high": EDGE, "bins": whole(1, 50)},
    "classes": {"column": word(), "values": several(EDGE, 20, least=2)},
}

CALLS: Mapping[str, Calls] = {
    "prepare": calls(
        RECIPES,
        {
            "conform": {**GRID, "mask": one_of("foreground", "nonzero")},
            "registered": {**GRID, "mask": one_of("nonzero")},  # around the middle of the brain
        },
    ),
    # sums of voxels leave, the mean image of the site among them: only where it is named
    "harmonise": calls(
        HARMONISES,
        {"none": {}, "voxelwise": {"columns": several(word(), MOST_KEPT, least=0)}},
        closed=("voxelwise",),
    ),
    "covariates": calls(
        SCALINGS,
        {"scaled": {"column": word(), "centre": number(-1e4, 1e4), "scale": number(0.1, 1e4)}},
    ),
    "target": calls(TARGETS, {"raw": {}, "z_score": {}}),
    "norms": calls(NORMS, {}),
    # tables of the cohort, and errors by groups, leave: only where they are named
    "describe": calls(HISTOGRAMS, CLASSES, closed=CLASSES),
    "report_by": calls(BANDS, CLASSES, closed=CLASSES),
    # sums of products leave: only where it is named, over columns that [columns] opens
    "baselines": calls(
        LINEAR,
        {"linear": {"columns": several(word(), MOST, least=0), "run": word()}},
        closed=("linear",),
    ),
    "partition": calls(PARTITIONS, {"by_site": {}}),
    "augment": calls(
        AUGMENTS,
        {
            "none": {},
            "augment": {
                "flip": flag(),
                "shift": whole(0, 16),
                "rotate_deg": number(0, 45),
                "scale": number(0, 0.5),
                "intensity": number(0, 0.9),
                "modality_dropout": number(0, 0.9),
            },
        },
    ),
    "views": calls(VIEWS, {"plain": {}, "averaged": {"flip": flag(), "shift": whole(0, 4)}}),
    "regimes": calls(factories(REGIMES), without_arguments(REGIMES)),
    "model": calls(
        MODELS,
        {
            "densenet121": {**NET, "remat": flag()},
            "sfcn": NET,
            "adapted_sfcn": {**NET, "channels": several(whole(1, 512), 8)},
            "tissue_shares": {
                **NET,
                "levels": several(number(-5, 5), 16),
                "cell": whole(1, 64),
            },
        },
        program={"outputs": 1},
    ),
    "loss": calls(
        LOSSES,
        {
            "l1": CENTRED,
            "l2": CENTRED,
            "huber": {**CENTRED, "threshold": number(0.01, 1e4)},
            # people outside the bins have no loss: two such questions tell one person
            "soft_bins": {
                "low": number(-1e4, 1e4),
                "high": number(-1e4, 1e4),
                "width": number(0.1, 1e3),
                "sigma": number(0.1, 1e3),
            },
            "cross_entropy": {"classes": either(whole(2, 1000), several(word(32), 1000, least=2))},
        },
        closed=("soft_bins", "cross_entropy"),
    ),
    # which models may be sent is the choice of `[start]`
    "initial": calls(
        STARTS, {"random": {}, "sent": {"sha256": word(), "run": word(), "head": flag()}}
    ),
    "trainable": calls(
        TRAINABLE,
        {
            **without_arguments(("everything", "only_head")),
            "after": {"stage": word()},
            **{key: {"rank": whole(1, 1024)} for key in ("low_rank", "low_rank_up")},
        },
        program={"stages": ()},
    ),
    "algorithm": calls(
        VARIANTS,
        RANGES,
        closed=[name for name, row in ALGORITHMS.items() if not row.opened],
    ),
    "client.transforms": calls(
        TRANSFORMS,
        {
            "add_proximal_term": {"mu": number(0, 10)},
            "clip_by_global_norm": {"max_norm": number(0.01, 1e4)},
            "add_decayed_weights": {"weight_decay": number(0, 0.1)},
        },
    ),
    "client.optimizer": calls(
        OPTIMIZERS,
        {
            "sgd": {**RATE, "momentum": number(0, 0.999), "nesterov": flag()},
            "adam": MOMENTS,
            "adamw": {**MOMENTS, "weight_decay": number(0, 0.1)},
            "yogi": MOMENTS,
        },
    ),
    "client.upload": calls(
        UPLOADS,
        {
            "identity": {},
            "bfloat16": {},
            "int8": LEVELS,
            "int8_with_feedback": LEVELS,
            "top_k": {"density": number(1e-3, 1)},
            "scaled_sign": {},
        },
    ),
    "client.privacy": calls(
        PRIVACY,
        {
            "none": {},
            "dp_fedsgd": {
                "noise_multiplier": number(0.1, 1e4),
                "clip_norm": number(1e-6, 1e4),
                "loss_bound": number(0.01, 1e4),
                "delta_dp": number(1e-12, 0.1),
            },
        },
    ),
    "server.aggregator": at_server(AGGREGATORS),
    "server.optimizer": at_server({**OPTIMIZERS, **SERVER_OPTIMIZERS}),
    "server.sharing": calls(SHARING, without_arguments(SHARING)),
    "server.statistics": calls(
        {**factories(BESIDE), "local": lambda: None, "with_rule": lambda: None},
        without_arguments((*BESIDE, "local", "with_rule")),
    ),
    "server.links": at_server({**KEEPING, **EVERY}, closed=EVERY),
    "server.sampling": calls(
        SAMPLINGS, {"everyone": {}, "cyclic": {}, "uniform": {"count": whole(1, 10_000)}}
    ),
    "schedule": calls(SCHEDULES, {"constant": {}, "cosine": {"final": SHARE}}),
    "driver": at_server({**DRIVERS, "auto": lambda: None}),
    "residence": at_server({**RESIDENCES, "auto": lambda: None}),
}

MANY = {
    "covariates",
    "norms",
    "describe",
    "report_by",
    "baselines",
    "regimes",
}  # sequences of calls
MANY |= {"client.transforms", "server.links"}
