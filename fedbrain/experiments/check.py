"""Looks at an experiment before it is run: its data, its fields and what it will take.

Nothing is trained. Headers of all images are read, and the voxels of a few. Nothing is written but
the folder that is asked for; the cache stays as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.analysis.scan_montage import scan_montage
from fedbrain.data.dataset import Scans
from fedbrain.data.overlap import require_scans
from fedbrain.data.scan_report import Report
from fedbrain.data.scratch import scratch
from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.advice import (
    Splits,
    render_warnings,
    require_feasible,
    split_all,
    warnings_of,
)
from fedbrain.experiments.clients import load_sites
from fedbrain.experiments.config import Experiment, read_experiment
from fedbrain.experiments.cost import estimate, render_cost
from fedbrain.experiments.glance import Glance, glance
from fedbrain.experiments.label_range import describe_labels, labels_of
from fedbrain.experiments.private import composed, spend
from fedbrain.experiments.ready import require_ready
from fedbrain.experiments.workdir import clean, config_of, differences, write_json
from fedbrain.experiments.writing import require_writable, writing
from fedbrain.training.maps import loop

EXAMPLES = 3  # sentences of each reason that are printed


def fields_of(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Every field and its value, a line each.

    Args:
      config: of an experiment.
      prefix: of the names.
    """
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from fields_of(value, f"{prefix}{name}.")
        else:
            yield f"  {prefix}{name} = {value!r}"


def parts_of(splits: Splits) -> Iterator[str]:
    """People of every client in the parts of the first split.

    Args:
      splits: of all clients.
    """
    split_id, parts = splits[0]
    for name, split in parts.items():
        train, valid, test = (len(set(part.subjects)) for part in split)
        yield f"  {name}: {train} train, {valid} validate, {test} test"
    more = f" and {len(splits) - 1} other splits" if len(splits) > 1 else ""
    yield f"  (people, in {split_id.name}{more})"


def privacy_of(experiment: Experiment, splits: Splits) -> Iterator[str]:
    """The privacy that the federation of all clients would leave, over all splits.

    Args:
      experiment: as read from the configuration.
      splits: of all clients.
    """
    privacy = experiment.privacy
    if privacy is None:
        return
    for name in splits[0][1]:
        spent = [
            spend(privacy, [parts[name].train, parts[name].valid], sums=experiment.rounds)
            for _, parts in splits
        ]
        epsilon = epsilon_of(composed(spent), privacy.delta_dp)
        yield f"Privacy of {name}: epsilon {epsilon:.3g} for delta {privacy.delta_dp:g}"


def require_same_config(config: Any, workdir: Path) -> None:
    """Refuses a work directory that holds another experiment.

    Args:
      config: an `ml_collections.ConfigDict`.
      workdir: perhaps not there yet.

    Raises:
      ValueError: naming the fields that differ.
    """
    if not (workdir / "config.json").is_file():
        return
    changed = differences(config_of(workdir), clean(config.to_dict()))
    if changed:
        raise ValueError(
            f"{workdir}: holds another experiment ({'; '.join(changed[:3])}). Choose another"
            " --workdir."
        )


def problems_of(
    config: Any,
    experiment: Experiment,
    clients: Mapping[str, Scans],
    reports: Sequence[Report],
    splits: Splits,
) -> list[str]:
    """What would end the experiment before its first round.

    Args:
      config: an `ml_collections.ConfigDict`.
      experiment: as read from it.
      clients: name -> scans; no volume is read.
      reports: of all sites.
      splits: of all clients.
    """
    shape = (*experiment.recipe.shape, len(experiment.modalities))
    any_driver = experiment._replace(driver=experiment.driver or loop())
    problems = []
    for require in (
        lambda: require_feasible(config, experiment, reports, splits, shape),
        lambda: require_ready(any_driver, clients, shape),
    ):
        try:
            require()
        except ValueError as error:
            problems.append(str(error))
    return problems


def none_usable(
    seen: Sequence[Glance], sites: Mapping[str, Scans], usable: Mapping[str, Scans]
) -> list[str]:
    """Sites of which no scan that was looked at can be used: the others will hardly be better.

    Args:
      seen: scans that were looked at and can be used.
      sites: name -> scans.
      usable: likewise, without those that cannot be used.
    """
    lost = {name: len(scans) - len(usable[name]) for name, scans in sites.items()}
    names = {glance.site for glance in seen}
    return [
        f"sites.{name}: expected scans that can be used, got none among the {count} that were"
        " looked at. The lines of the site say why."
        for name, count in lost.items()
        if count and name not in names
    ]


def write_output(
    folder: Path, seen: Sequence[Glance], reports: Mapping[str, Report], text: str
) -> None:
    """Writes a montage and the whole data report of every site, and what was printed.

    Args:
      folder: for them.
      seen: scans that were looked at.
      reports: of all sites.
      text: that was printed.
    """
    with writing(folder, flag="output"):
        for name, report in reports.items():
            scans = {glance.scan: glance.volume for glance in seen if glance.site == name}
            if scans:
                path = folder / f"{name}.png"
                scan_montage(path, scans, title=name, synthetic=report.synthetic)
            write_json(folder / f"{name}.json", report.as_dict())
        write_whole(folder / "check.txt", text + "\n")


class Seen(NamedTuple):
    """What was found out before anything is refused."""

    lines: list[str]  # to print: fields, sites and, where there are splits, clients and costs
    problems: list[str]  # what would end the experiment before its first round
    seen: list[Glance]  # scans that were looked at
    reports: dict[str, Report]  # of all sites


def look(config: Any, experiment: Experiment, scratch: Path) -> Seen:
    """Reads the data of every site; the first thing that would be refused ends what is looked at.

    Args:
      config: an `ml_collections.ConfigDict`.
      experiment: as read from it.
      scratch: an empty folder for what is prepared.

    Raises:
      ValueError: for a site of which nothing can be read.
    """
    sites, reports = load_sites(experiment, scratch)
    seen, usable = glance(sites, reports)
    lines = ["Configuration:", *fields_of(config), f"Sites (voxels of {len(seen)} scans read):"]
    lines += [report.text(EXAMPLES) for report in reports.values()]
    try:
        for name, scans in usable.items():
            require_scans(name, scans, reports[name])
        clients = experiment.partition(usable)
        splits = split_all(experiment, clients)
        cost = estimate(experiment, sites, splits, scratch)
    except ValueError as error:
        return Seen(lines, [str(error)], seen, reports)
    problems = none_usable(seen, sites, usable)
    problems += problems_of(config, experiment, clients, list(reports.values()), splits)
    labels = describe_labels(labels_of(clients), experiment.unit, experiment.classes)
    lines += ["Clients:", *parts_of(splits), *labels]
    lines += [*render_cost(cost), *privacy_of(experiment, splits)]
    if not problems:
        lines.append(f"Rule: {config.server.aggregator} is defined for these clients.")
    warnings = warnings_of(experiment, clients, list(reports.values()), splits)
    return Seen([*lines, render_warnings(warnings) or "No warnings."], problems, seen, reports)


def run(config: Any, workdir: Path, *, output: Path | None) -> None:
    """Prints the resolved configuration, the data of every site, costs and warnings.

    Args:
      config: an `ml_collections.ConfigDict` with the fields of `configs/base.py`.
      workdir: where the experiment would write; nothing is written there.
      output: folder for montages and data reports, which name subjects; None: none.

    Raises:
      ValueError: what the experiment would be refused for.
    """
    experiment = read_experiment(config)
    require_writable(workdir)
    require_same_config(config, workdir)
    if output is not None:
        require_writable(output, flag="output")
    with scratch() as folder:
        lines, problems, seen, reports = look(config, experiment, folder)
        print("\n".join(lines))
        if output is not None:
            lines += [f"Refused: {problem}" for problem in problems]
            write_output(output, seen, reports, "\n".join(lines))
            print(f"Montages and data reports, which name subjects: {output}")
    if problems:
        raise ValueError(" ".join(problems))
