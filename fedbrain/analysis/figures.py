"""Figures of a run: losses per round with the chosen round, and predictions beside targets."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedbrain.analysis import classification
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.statistics import accuracy
from fedbrain.data.whole_file import write_whole

# Okabe and Ito (2008): told apart with any kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")


def colour(k: int) -> str:
    """The colour of the k-th client; they come again after eight."""
    return COLOURS[k % len(COLOURS)]


def titled(text: str, synthetic: bool) -> str:
    """A title that says when results are synthetic."""
    return f"{text} (synthetic)" if synthetic else text


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120, metadata={"Software": None})
    write_whole(path, drawn.getvalue())


def svg(figure: Figure) -> bytes:
    """A figure as an SVG file: text stays text, and the same figure gives the same bytes."""
    drawn = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "fedbrain"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()


def losses(path: Path, history: list[dict[str, Any]], *, title: str, synthetic: bool) -> None:
    """Training and validation loss per client and round; a line marks the chosen round. Where a
    client did not answer it has no point.

    Args:
      path: of the PNG file.
      history: lines of `metrics.jsonl`, one a round.
      title: of the figure.
      synthetic: adds "(synthetic)" to the title.
    """
    if not history:
        return
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    rounds = [line["round"] for line in history]
    names = sorted({name for line in history for name in line["valid_loss_by_client"]})
    for k, name in enumerate(names):
        present = [line for line in history if name in line["train_loss"]]
        trained = [(line["round"], line["train_loss"][name]) for line in present]
        by_round = [(line["round"], line["valid_loss_by_client"].get(name)) for line in history]
        valid = [point for point in by_round if point[1] is not None]
        axes.plot(*zip(*trained), color=colour(k), linestyle=":", label=f"{name}, training")
        axes.plot(*zip(*valid), color=colour(k), label=f"{name}, validation")
    pooled = [line["valid_loss"] for line in history]
    axes.plot(rounds, pooled, color="black", label="validation, pooled")
    best = history[-1]["best_round"]
    axes.axvline(best, color="grey", linestyle="--", label=f"chosen round {best}")
    axes.set(xlabel="round", ylabel="loss", title=titled(title, synthetic))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="small", ncols=2)
    save(figure, path)


def predictions(
    path: Path, sites: Mapping[str, Predictions], *, title: str, unit: str, synthetic: bool
) -> None:
    """Predicted against true target on the test set of each client, with the identity line.

    Args:
      path: of the PNG file.
      sites: site -> predictions.
      title: of the figure.
      unit: of the target.
      synthetic: adds "(synthetic)" to the title.
    """
    figure = Figure(figsize=(3.6 * len(sites), 4), layout="constrained")
    panels = figure.subplots(1, len(sites), sharex=True, sharey=True, squeeze=False)[0]
    for k, (axes, (name, p)) in enumerate(zip(panels, sites.items())):
        m = accuracy(p)
        ends = [
            min(p.target.min(), p.prediction.min()),
            max(p.target.max(), p.prediction.max()),
        ]
        axes.plot(ends, ends, color="grey", linewidth=1)
        axes.scatter(p.target, p.prediction, s=14, color=colour(k), alpha=0.8)
        panel_title = f"{name}: n = {m['n']}, MAE {m['mae']:.1f}, r {m['r']:.2f}"
        axes.set(xlabel=f"true ({unit})", title=panel_title)
    panels[0].set_ylabel(f"predicted ({unit})")
    figure.suptitle(titled(title, synthetic))
    save(figure, path)


def confusion(path: Path, sites: Mapping[str, Predictions], *, title: str, synthetic: bool) -> None:
    """The confusion matrix on the test set of each client: scans, coloured by their share of the
    true class.

    Args:
      path: of the PNG file.
      sites: site -> predictions of classes.
      title: of the figure.
      synthetic: adds "(synthetic)" to the title.
    """
    figure = Figure(figsize=(3.6 * len(sites), 4), layout="constrained")
    panels = figure.subplots(1, len(sites), squeeze=False)[0]
    for axes, (name, p) in zip(panels, sites.items()):
        m = classification.accuracy(p)
        counts = np.asarray(m["confusion"])
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
        panel_title = f"{name}: n = {m['n']}, accuracy {m['accuracy']:.2f}"
        axes.set(xlabel="put into", title=panel_title)
        axes.set_xticks(range(len(p.classes)), p.classes)
        axes.set_yticks(range(len(p.classes)), p.classes)
    panels[0].set_ylabel("true class")
    figure.suptitle(titled(title, synthetic))
    save(figure, path)
