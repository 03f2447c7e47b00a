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
from fedbrain.experiments.workdir import claim

# who is tested, and on what: no method has its own
SAME = ("sites", "partition", "splits", "target", "unit", "norms")


class Trial(NamedTuple):
    """One setting of a method."""

    method: str  # its name
    settings: Mapping[str, Any]  # tuned fields, with dots -> value; empty where nothing is tuned
    number: int  # of the setting, from 1
    config: Any  # an `ml_collections.ConfigDict` of an experiment
    folder: Path  # its work directory

    @property
    def job(self) -> jobs.Job:
        """As several processes share it."""
        return jobs.Job(f"{self.method}, setting {self.number}", self.config, self.folder)


def trials(config: Any, workdir: Path) -> list[Trial]:
    """Every setting of every method.

    Args:
      config: of the sweep.
      workdir: of the sweep.

    Raises:
      ValueError: naming the method and the field, for what an experiment does not have, or what all
        methods must have in common.
    """
    folders = {method: workdir / folder_name(method) for method in config.methods}
    if len(set(folders.values())) < len(folders):
        raise ValueError(
            "config.methods: expected names that differ in letters and digits, since their folders"
            f" do, got {', '.join(map(repr, folders))}."
        )
    tunable = [name for name in config.experiment if name not in SAME]
    found = []
    for method, own in config.methods.to_dict().items():
        settings = settings_of(config, method, tunable) if is_tuned(config) else [{}]
        for number, setting in enumerate(settings, 1):
            overrides = [(f"methods[{method!r}]", own), ("tune", nested(setting))]
            changed = _changed(config.experiment, overrides)
            _require_one_regime(method, changed)
            folder = folders[method] / f"setting{number}"
            found.append(Trial(method, setting, number, changed, folder))
    return found


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
        tried = [sweep_results.Tried(one.method, dict(one.settings), one.folder) for one in todo]
        results = sweep_results.results_of(tried, tuple(config.against))
        with held(workdir, wait=True):  # all write the same, one after the other
            sweep_results.write(results, workdir)
    print(sweep_results.text_of(results))
    print(f"Results and figure: {workdir}")
