"""Figures of a run: losses per round with the chosen round, and predicted against true targets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fedbrain.analysis.statistics import Predictions, accuracy


def titled(text: str, synthetic: bool) -> str:
    """A title that says when results are synthetic."""
    return f"{text} (synthetic)" if synthetic else text


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def losses(path: Path, history: list[dict[str, Any]], *, title: str, synthetic: bool) -> None:
    """Training and validation loss per client and round; a line marks the chosen round.

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
    for k, name in enumerate(history[0]["valid_loss_by_client"]):
        present = [line for line in history if name in line["train_loss"]]
        trained = [(line["round"], line["train_loss"][name]) for line in present]
        valid = [line["valid_loss_by_client"][name] for line in history]
        axes.plot(*zip(*trained), color=f"C{k}", linestyle=":", label=f"{name}, training")
        axes.plot(rounds, valid, color=f"C{k}", label=f"{name}, validation")
    pooled = [line["valid_loss"] for line in history]
    axes.plot(rounds, pooled, color="black", label="validation, pooled")
    best = history[-1]["best_round"]
    axes.axvline(best, color="grey", linestyle="--", label=f"chosen round {best}")
    axes.set(xlabel="round", ylabel="loss", title=titled(title, synthetic))
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
        axes.scatter(p.target, p.prediction, s=14, color=f"C{k}", alpha=0.8)
        panel_title = f"{name}: n = {m['n']}, MAE {m['mae']:.1f}, r {m['r']:.2f}"
        axes.set(xlabel=f"true ({unit})", title=panel_title)
    panels[0].set_ylabel(f"predicted ({unit})")
    figure.suptitle(titled(title, synthetic))
    save(figure, path)
