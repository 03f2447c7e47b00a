"""What a job may call at a site that says nothing else: names, and the range of every argument.

What has no row here, or a row that is not opened, runs only where `[allow]` of `site.toml` names
it. Nothing that is opened sends anything of a single person; arguments stay where training is
training. A learning rate near 0, or a bin that holds one person, would be a question about people.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fedbrain.aggregators import AGGREGATORS, BESIDE, KEEPING
from fedbrain.aggregators.attacks import ATTACKS
from fedbrain.algorithms import SHARING, VARIANTS
from fedbrain.algorithms.optimizers import OPTIMIZERS, SERVER_OPTIMIZERS, TRANSFORMS, UPLOADS
from fedbrain.algorithms.schedules import SCHEDULES
from fedbrain.algorithms.trainable import TRAINABLE
from fedbrain.data.augment import AUGMENTS
from fedbrain.data.bands import BANDS
from fedbrain.data.conform import RECIPES
from fedbrain.data.describe import HISTOGRAMS
from fedbrain.data.inputs import SCALINGS
from fedbrain.data.partition import PARTITIONS
from fedbrain.data.regimes import REGIMES
from fedbrain.data.targets import NORMS, TARGETS
from fedbrain.data.views import VIEWS
from fedbrain.deploy.protocol.first_model import STARTS
from fedbrain.deploy.protocol.reveals import ALGORITHMS
from fedbrain.deploy.site_side.bounds import (
    Bound,
    either,
    flag,
    number,
    one_of,
    several,
    whole,
    word,
)
from fedbrain.experiments.baselines import BASELINES
from fedbrain.experiments.spec import factories
from fedbrain.models import MODELS
from fedbrain.models.losses import LOSSES
from fedbrain.training.device_volumes import RESIDENCES
from fedbrain.training.maps import DRIVERS
from fedbrain.training.sampling import SAMPLINGS

PLAIN: Bound = either(number(-1e6, 1e6), flag(), word(32))
Arguments = Mapping[str, Bound] | None  # None: all of them, each PLAIN


class Calls(NamedTuple):
    """One field of a configuration that holds a call, or several."""

    table: Mapping[str, Callable]  # what there is
    bounds: Mapping[str, Arguments]  # name -> the arguments that may be given, and their ranges
    opened: frozenset[str]  # names that run without being named in `site.toml`
    program: Mapping[str, Any]  # arguments that the program adds

    def bound(self, name: str, argument: str) -> Bound | None:
        """The range of an argument; None when it may not be given."""
        arguments = self.bounds[name]
        return PLAIN if arguments is None else arguments.get(argument)


def _calls(
    table: Mapping[str, Callable],
    bounds: Mapping[str, Arguments],
    *,
    closed: Iterable[str] = (),
    program: Mapping[str, Any] | None = None,
) -> Calls:
    return Calls(table, bounds, frozenset(bounds) - set(closed), program or {})


def _at_server(table: Mapping[str, Callable], closed: Iterable[str] = ()) -> Calls:
    """What only the server computes: a site bounds the size of its arguments."""
    return _calls(table, dict.fromkeys(table), closed=closed)


def _without_arguments(names: Iterable[str]) -> dict[str, Arguments]:
    return {name: {} for name in names}


NET = {"norm": one_of("batch", "group"), "dropout": number(0, 0.9)}
NET |= {"dtype": one_of("float32", "bfloat16")}
RATE = {"learning_rate": number(1e-5, 1.0)}  # below, all steps are one: an exact gradient
MOMENTS = {**RATE, "b1": number(0, 0.999), "b2": number(0, 0.9999), "eps": number(1e-12, 1e-2)}
CENTRED = {"centre": number(-1e4, 1e4), "scale": number(0.01, 1e4)}
LEVELS = {"block": whole(16, 1 << 20), "seed": whole(0, 2**31 - 1)}
SHARE = number(0, 1)

CALLS: Mapping[str, Calls] = {
    "prepare": _calls(
        RECIPES,
        {
            "conform": {
                "voxel_size_mm": number(0.5, 20),
                "shape": several(whole(8, 320), 3, least=3),
                "mask": one_of("foreground", "nonzero"),
            }
        },
    ),
    "covariates": _calls(
        SCALINGS,
        {"scaled": {"column": word(), "centre": number(-1e4, 1e4), "scale": number(0.1, 1e4)}},
    ),
    "target": _calls(TARGETS, {"raw": {}, "z_score": {}}),
    "norms": _calls(NORMS, {}),
    "describe": _calls(HISTOGRAMS, {}),
    "report_by": _calls(BANDS, {}),
    "baselines": _calls(BASELINES, {}),
    "partition": _calls(PARTITIONS, {"by_site": {}}),
    "augment": _calls(
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
    "views": _calls(VIEWS, {"plain": {}, "averaged": {"flip": flag(), "shift": whole(0, 4)}}),
    "regimes": _calls(factories(REGIMES), _without_arguments(REGIMES)),
    "model": _calls(
        MODELS,
        {
            "densenet121": {**NET, "remat": flag()},
            "sfcn": NET,
            "adapted_sfcn": {**NET, "channels": several(whole(1, 512), 8)},
        },
        program={"outputs": 1},
    ),
    "loss": _calls(
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
    "initial": _calls(
        STARTS, {"random": {}, "sent": {"sha256": word(), "run": word(), "head": flag()}}
    ),
    "trainable": _calls(
        TRAINABLE,
        {"everything": {}, "only_head": {}, "after": {"stage": word()}},
        program={"stages": ()},
    ),
    "algorithm": _calls(
        VARIANTS,
        {
            "fedavg": {},
            "scaffold": {},
            "feddyn": {"alpha": number(1e-4, 10)},
            "mime": {"beta": number(0, 0.999)},
            "mimelite": {"beta": number(0, 0.999)},
            "ditto": {"penalty": number(0, 100)},
            "apfl": {"mixture": SHARE, "learning_rate": number(1e-5, 1)},
            "pfedme": {
                "penalty": number(0, 100),
                "inner_steps": whole(1, 50),
                "inner_learning_rate": number(1e-5, 1),
            },
            "fine_tuned": {},
            "fedrep": {"head_steps": whole(0, 10_000)},
            "worker_momentum": {"beta": number(0, 0.999)},
            "report_global_loss": {},
            "report_fisher": {"damping": number(1e-12, 1e3)},
        },
        closed=[name for name, row in ALGORITHMS.items() if not row.opened],
    ),
    "client.transforms": _calls(
        TRANSFORMS,
        {
            "add_proximal_term": {"mu": number(0, 10)},
            "clip_by_global_norm": {"max_norm": number(0.01, 1e4)},
            "add_decayed_weights": {"weight_decay": number(0, 0.1)},
        },
    ),
    "client.optimizer": _calls(
        OPTIMIZERS,
        {
            "sgd": {**RATE, "momentum": number(0, 0.999), "nesterov": flag()},
            "adam": MOMENTS,
            "adamw": {**MOMENTS, "weight_decay": number(0, 0.1)},
            "yogi": MOMENTS,
        },
    ),
    "client.upload": _calls(
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
    "server.aggregator": _at_server(AGGREGATORS),
    "server.optimizer": _at_server({**OPTIMIZERS, **SERVER_OPTIMIZERS}),
    "server.sharing": _calls(SHARING, _without_arguments(SHARING)),
    "server.statistics": _calls(
        {**factories(BESIDE), "local": lambda: None},
        _without_arguments((*BESIDE, "local")),
    ),
    "server.links": _at_server({**KEEPING, **ATTACKS}, closed=ATTACKS),
    "server.sampling": _calls(
        SAMPLINGS, {"everyone": {}, "cyclic": {}, "uniform": {"count": whole(1, 10_000)}}
    ),
    "schedule": _calls(SCHEDULES, {"constant": {}, "cosine": {"final": SHARE}}),
    "driver": _at_server({**DRIVERS, "auto": lambda: None}),
    "residence": _at_server({**RESIDENCES, "auto": lambda: None}),
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
