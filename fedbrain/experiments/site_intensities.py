"""`intensities.json` of a simulation, and what the report page shows of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fedbrain.analysis.cells import number
from fedbrain.analysis.figures import colour, svg, titled
from fedbrain.analysis.html_page import Block, Picture, Section, Table
from fedbrain.analysis.intensities import LEVELS, compare, of_site
from fedbrain.analysis.intervals import span
from fedbrain.data.dataset import Scans
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.report_sections import read_object
from fedbrain.experiments.split_id import SplitId, split_client
from fedbrain.experiments.workdir import write_json
from fedbrain.processes import peers

NAME = "intensities.json"
LEGEND = (
    "Grey values of the training scans of the first split, as they are prepared, before"
    " harmonisation: every scan is scaled to mean 0 and SD 1, so that sites differ in the shape of"
    " the distribution. A curve is the mean over a site's people. The distance (Wasserstein-1, in"
    " SDs) is the mean gap between two curves, with a 95 % interval over people. The floor is what"
    " chance gives: 95 % of distances are below it when the same people are dealt to the two sites"
    " at random."
)


def write_intensities(workdir: Path, experiment: Experiment, clients: Mapping[str, Scans]) -> None:
    """Writes quantiles and distances of every modality; nothing where another process holds scans,
    or where inputs are no images.

    Args:
      workdir: of the experiment.
      experiment: says who trains in the first split.
      clients: name -> scans.
    """
    first = SplitId(experiment.repeats[0], 0)
    parts = {n: split_client(experiment, scans, first).train for n, scans in clients.items()}
    train = {n: part for n, part in parts.items() if len(part)}
    if any(s.holder != peers.index() or min(s.volumes[0].shape[:3]) < 2 for s in train.values()):
        return
    told = {
        modality: compare({n: of_site(s.volumes, s.subjects, c) for n, s in train.items()})
        for c, modality in enumerate(experiment.modalities)
    }
    write_json(workdir / NAME, told)


def intensities_section(workdir: Path, *, synthetic: bool) -> Section:
    """Curves and distances; no blocks where the file is absent, or nothing is told.

    Args:
      workdir: of the experiment.
      synthetic: whether figures say so.
    """
    told = {c: t for c, t in read_object(workdir / NAME).items() if t.get("sites")}
    blocks = [b for name, t in told.items() for b in _blocks(name, t, synthetic)]
    return Section("Intensities of the sites", [LEGEND, *blocks] if blocks else [])


def _blocks(name: str, told: Mapping[str, Any], synthetic: bool) -> Iterator[Block]:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for k, (site, row) in enumerate(told["sites"].items()):
        label = f"{site}, {row['people']} people"
        axes.plot(row["quantiles"], LEVELS, color=colour(k), label=label)
    axes.set(xlabel="grey value (SDs)", ylabel="share of voxels below it")
    axes.set_title(titled(name, synthetic))
    axes.legend(fontsize="small")
    yield Picture(f"Share of voxels below each grey value, a curve a site: {name}", svg(figure))
    rows = [["", "distance", "95 % interval", "floor"]]
    for pair, d in told["distances"].items():
        cells = [number(d["distance"], ".3f"), span(d["distance_95"], ".3f")]
        rows.append([pair, *cells, number(d["floor"], ".3f")])
    if len(rows) > 1:
        yield Table(f"Distances of intensities, in SDs: {name}", rows)
