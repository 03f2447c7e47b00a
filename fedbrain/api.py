"""Experiments from Python: `train`, `load` and `configuration`; docs/python.md shows them."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fedbrain import cli, progress
from fedbrain.experiments.catalogue import let_import, locate
from fedbrain.experiments.config_file import (
    read_file,
    require_field,
    require_kind,
    require_known,
)
from fedbrain.experiments.experiment import run
from fedbrain.experiments.finished import Result
from fedbrain.experiments.finished import load as load_finished
from fedbrain.experiments.released import Released, load
from fedbrain.experiments.site_flags import Site, site_call

__all__ = ["Released", "Result", "configuration", "load", "train"]

DEFAULT = "brain_age"  # DenseNet-121 at 1.4 mm, of the published study


def configuration(name: str | Path, changes: Mapping[str, Any] | None = None) -> Any:
    """A configuration, to be changed and given to `train`.

    Args:
      name: of a configuration of the package (`quickstart`), or the path of a file.
      changes: field with dots -> its value, e.g. `{"server.aggregator": "median()"}`.

    Returns:
      An `ml_collections.ConfigDict`.

    Raises:
      ValueError: naming the file or the field.
    """
    path = locate(str(name))
    let_import(path)
    config = read_file(path)
    require_kind(config, "experiment", str(name))
    return changed(config, changes or {}, str(name))


def changed(config: ConfigDict, changes: Mapping[str, Any], name: str) -> ConfigDict:
    """A copy of a configuration with other values.

    Args:
      config: of an experiment.
      changes: field with dots -> its value.
      name: of the configuration, for the sentence.

    Raises:
      ValueError: for a field that there is not, or a value of another kind.
    """
    copy: Any = ConfigDict(config.to_dict())
    for field, value in changes.items():
        require_field(copy, field, name)
        group, _, last = field.rpartition(".")
        try:
            (copy[group] if group else copy)[last] = value
        except TypeError as error:
            raise ValueError(f"config.{field}: {error}") from None
    require_known(copy, "experiment", name)
    return copy


def train(
    config: str | Path | ConfigDict | Mapping[str, Site],
    workdir: str | Path,
    *,
    sites: Mapping[str, Site] | None = None,
    changes: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Result:
    """Runs an experiment, or resumes it. Called again when it is finished, it trains nothing.

    Args:
      config: name of a configuration of the package, path of a configuration file, or a
        `ConfigDict`; or only sites, which the configuration `brain_age` then trains on.
      workdir: folder of the results.
      sites: name -> folder of a BIDS tree, arguments of `bids`, or a call; they take the place of
        the configuration's sites.
      changes: field with dots -> its value, e.g. `{"rounds": 3, "server.aggregator": "median()"}`.
      quiet: whether neither results nor progress are printed.

    Raises:
      ValueError: one sentence that names the site, the file or the field; mistakes are found before
        scans are read where they can be.

    Examples:
      >>> import fedbrain
      >>> result = fedbrain.train("quickstart", "runs/quickstart")  # doctest: +SKIP
      >>> result.predict("scan.nii.gz")  # doctest: +SKIP
      41.3
    """
    if isinstance(config, Mapping) and not isinstance(config, ConfigDict):
        if sites is not None:
            raise ValueError("sites: expected once, got them as the first argument and as sites=.")
        return train(DEFAULT, workdir, sites=config, changes=changes, quiet=quiet)
    name = "config" if isinstance(config, ConfigDict) else str(config)
    start = config if isinstance(config, ConfigDict) else configuration(str(config))
    chosen: Any = changed(start, changes or {}, name)
    if sites is not None:
        chosen.sites = ConfigDict({k: site_call(k, site) for k, site in sites.items()})
    cli.configure()
    folder = Path(workdir).expanduser()
    with _printing_nothing() if quiet else nullcontext():
        run(chosen, folder)
    return load_finished(folder)


@contextmanager
def _printing_nothing() -> Iterator[None]:
    with progress.silenced(), redirect_stdout(io.StringIO()):
        yield
