"""A sweep: methods x settings, each an experiment in WORKDIR/<method>/setting<k>.

All have the same people in the same splits. The same call goes on where it stopped; several
processes, at once and on any hosts that share the folder, share the work.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain.configs import base
from fedbrain.experiments import jobs, sweep_results
from fedbrain.experiments.config_file import fields as names_of
from fedbrain.experiments.experiment import run as conduct
from fedbrain.experiments.leases import held
from fedbrain.experiments.made_by import recorded
from fedbrain.experiments.study_ranges import is_tuned, nested, settings_of
from fedbrain.experiments.workdir import claim, config_of

# who is tested, and on what: no method has its own
SAME = ("sites", "partition", "splits", "target", "unit", "norms")


class Trial(NamedTuple):
    """One setting of a method."""

    tried: sweep_results.Tried  # method, settings and folder
    config: Any  # an `ml_collections.ConfigDict` of an experiment

    @property
    def job(self) -> jobs.Job:
        """As several processes share it."""
        folder = self.tried.folder
        return jobs.Job(f"{self.tried.method}, {folder.name}", self.config, folder)


def planned(config: Any, workdir: Path) -> list[sweep_results.Tried]:
    """Every setting of every method, and its folder, WORKDIR/<method>/setting<k>, run or not.

    Args:
      config: of the sweep.
      workdir: of the sweep.

    Raises:
      ValueError: naming the field, for values that cannot be tried.
    """
    folders = {method: workdir / folder_name(method) for method in config.methods}
    if len(set(folders.values())) < len(folders):
        raise ValueError(
            "config.methods: expected names that differ in letters and digits, since their folders"
            f" do, got {', '.join(map(repr, folders))}."
        )
    tunable = [name for name in config.experiment if name not in SAME]
    tuned = is_tuned(config)
    return [
        sweep_results.Tried(method, setting, folder / f"setting{number}")
        for method, folder in folders.items()
        for number, setting in enumerate(settings_of(config, method, tunable) if tuned else [{}], 1)
    ]


def trials(config: Any, workdir: Path) -> list[Trial]:
    """Every setting of every method as an experiment.

    Args:
      config: of the sweep.
      workdir: of the sweep.

    Raises:
      ValueError: naming the method and the field, for what an experiment does not have, or what all
        methods must have in common.
    """
    methods, found = config.methods.to_dict(), []
    for one in planned(config, workdir):
        overrides = [(f"methods[{one.method!r}]", methods[one.method])]
        changed = _changed(config.experiment, [*overrides, ("tune", nested(one.settings))])
        _require_one_regime(one.method, changed)
        found.append(Trial(one, changed))
    return found


def so_far(workdir: Path) -> None:
    """Prints the table of the methods whose settings are all finished, and which are not.

    Args:
      workdir: of a sweep, perhaps one that runs.

    Raises:
      ValueError: when no method is finished.
    """
    config: Any = ConfigDict(_with_tuples(config_of(workdir)), allow_dotted_keys=True)
    tried = planned(config, workdir)
    left = dict.fromkeys(one.method for one in tried if not jobs.is_done(one.folder))
    done = [one for one in tried if one.method not in left]
    if not done:
        raise ValueError(f"{workdir}: no method is finished. Run fedbrain sweep first.")
    against = tuple(name for name in config.against if name not in left)
    print(sweep_results.text_of(sweep_results.results_of(done, against)))
    if left:
        print(f"To come: {', '.join(left)}.")


def is_sweep(workdir: Path) -> bool:
    """Whether a folder is that of a sweep.

    Args:
      workdir: perhaps of something else.
    """
    return (workdir / "config.json").is_file() and "experiment" in config_of(workdir)


def _with_tuples(value: Any) -> Any:
    """What JSON has as lists, as tuples."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(one) for name, one in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def folder_name(method: str) -> str:
    """The folder of a method.

    >>> folder_name("FedProx, mu .1")
    'FedProx_mu_.1'
    """
    return re.sub(r"[^\w.-]+", "_", method).strip("_")


def _changed(experiment: Any, overrides: Sequence[tuple[str, Any]]) -> Any:
    """An experiment, changed by nested dictionaries one after the other."""
    changed: Any = ConfigDict(experiment.to_dict())
    changed.lock()
    for where, own in overrides:
        _require_fields(own, where)
        try:
            changed.update(own)
        except (KeyError, TypeError, AttributeError) as error:
            what = " ".join(str(error).split())
            raise ValueError(f"config.{where}: expected other values: {what}") from None
    return changed


def _require_fields(own: Mapping[str, Any], where: str) -> None:
    known = list(names_of(base.get_config()))
    for name in _names(own):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"config.{where}: an experiment has no field {name!r}.{hint}")
        if name.split(".")[0] in SAME:
            raise ValueError(
                f"config.{where}: expected fields in which methods may differ, got {name!r}: all"
                " are tested on the same people. Set it in config.experiment."
            )


def _names(own: Any, prefix: str = "") -> Iterator[str]:
    for name, value in own.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _require_one_regime(method: str, config: Any) -> None:
    if len(config.regimes) != 1:
        raise ValueError(
            f"config.methods[{method!r}]: expected one regime, got {tuple(config.regimes)}; a"
            " method with another one sets 'regimes'."
        )


def _require_comparable(config: Any) -> None:
    unknown = [name for name in config.against if name not in config.methods]
    if unknown:
        raise ValueError(
            f"config.against: expected names of methods, {', '.join(config.methods)}, got"
            f" {unknown[0]!r}."
        )
    if is_tuned(config) and not config.experiment.splits.valid:
        raise ValueError(
            "config.experiment.splits.valid: expected more than 0, since settings are chosen on"
            " validation people."
        )


def run(config: Any, workdir: Path) -> None:
    """Runs a sweep: every setting that is not finished, then writes, draws and prints the table.

    Args:
      config: an `ml_collections.ConfigDict` with the fields of `configs/sweep.py`.
      workdir: where results go; the same call goes on where it stopped. Several processes may work
        here at once.

    Raises:
      ValueError: one sentence that names the method or the field.
    """
    _require_comparable(config)
    todo = trials(config, workdir)
    jobs.require_readable([(one.job.name, one.config) for one in todo if not one.job.done])
    with claim(workdir, {"config": config.to_dict()}, shared=True), recorded(workdir, shared=True):
        jobs.run_all([one.job for one in todo], conduct, title=workdir.name)
        tried = [one.tried for one in todo]
        results = sweep_results.results_of(tried, tuple(config.against))
        with held(workdir, wait=True):  # all write the same, one after the other
            sweep_results.write(results, workdir)
    print(sweep_results.text_of(results))
    print(f"Results and figure: {workdir}")
