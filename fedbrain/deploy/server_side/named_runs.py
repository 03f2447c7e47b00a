"""Earlier runs that the regressions of an experiment name by their folders: a job names them by the
hash of their configuration, and each site has their models.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.experiments.baselines import BASELINES
from fedbrain.experiments.saved_models import is_of_hospitals
from fedbrain.experiments.spec import bind
from fedbrain.experiments.workdir import config_of


def name_runs(calls: Sequence[str], known: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """`config.baselines` as a job has them: `run='SHA256'` in place of `model='WORKDIR'`.

    Args:
      calls: of a configuration.
      known: folder -> hash of the configuration of a run that may still be to come.

    Raises:
      ValueError: naming the folder, when it is not that of a run between hospitals; for an argument
        that has no meaning there.
    """
    return tuple(_named(str(call), known or {}) for call in calls)


def _named(call: str, known: Mapping[str, str]) -> str:
    try:
        name, bound = bind(call, BASELINES)
    except ValueError:
        return call  # named already, or refused with its reason when the job is read
    bound.apply_defaults()
    model, split = bound.arguments["model"], bound.arguments["split"]
    if split:
        raise ValueError(
            f"config.baselines: expected no split between hospitals, where a regression takes the"
            f" model of its own split, got {split!r}."
        )
    if not model:
        return call
    words = [*map(repr, bound.arguments["columns"]), f"run={known.get(model) or _hash(model)!r}"]
    return f"{name}({', '.join(words)})"


def _hash(model: str) -> str:
    folder = Path(model).expanduser()
    if not is_of_hospitals(folder):
        raise ValueError(
            f"config.baselines: expected the folder of a run between hospitals, whose model every"
            f" hospital has, got {model!r}."
        )
    return config_hash(config_of(folder))
