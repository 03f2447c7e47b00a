"""Tables and figures of a study: mean, range and interval over seeds, and rank per method."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from fedbrain.analysis.figures import save, titled

# (method, attack) -> (scores [seeds, clients], test examples [seeds, clients], skipped rounds
# [seeds])
Cells = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]]


class Line(NamedTuple):
    """One method under one attack."""

    method: str
    attack: str
    mean: float
    interval: tuple[float, float]  # bootstrap 95 % of the mean over seeds
    low: float  # over seeds
    high: float
    rank: float  # mean over seeds, 1 = best under this attack
    clients: dict[str, float]  # mean over seeds of every client
    worst: float  # mean over seeds of the worst client
    skipped: float  # rounds


def reduce_history(scores: np.ndarray, score: str, better: int) -> np.ndarray:
    """[seeds, evaluations, clients] -> [seeds, clients]: the last evaluation, the mean of the last
    five, or the best one.

    `best` is the evaluation with the best mean over clients: chosen on test data, as some published
    tables are.
    """
    if score == "last":
        return scores[:, -1]
    if score == "last_five":
        return scores[:, -5:].mean(1)
    if score == "best":
        best = np.argmax(better * scores.mean(2), axis=1)
        return scores[np.arange(len(scores)), best]
    raise ValueError(f"config.score: expected 'last', 'last_five' or 'best', got {score!r}.")


def bootstrap_mean(x: np.ndarray, *, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the mean over seeds."""
    rng = np.random.default_rng(0)
    means = x[rng.integers(0, len(x), (draws, len(x)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def summarise(cells: Cells, names: list[str], better: int) -> list[Line]:
    """The lines of the table, best first under each attack.

    The score of a federation is the mean over its test examples. `better` is 1 when large scores
    are good, else -1.
    """
    overall = {key: (s * n).sum(1) / n.sum(1) for key, (s, n, _) in cells.items()}
    lines, attacks = [], list(dict.fromkeys(attack for _, attack in cells))
    for (method, attack), (scores, _, skipped) in cells.items():
        rivals = np.stack([overall[key] for key in cells if key[1] == attack])
        mine = overall[method, attack]
        finite = np.nan_to_num(rivals, nan=-better * np.inf)
        rank = 1 + (better * finite > better * np.nan_to_num(mine, nan=-better * np.inf)).sum(0)
        each = dict(zip(names, scores.mean(0).tolist()))
        worst = (scores.min(1) if better > 0 else scores.max(1)).mean()
        lines.append(
            Line(
                method,
                attack,
                float(mine.mean()),
                bootstrap_mean(mine),
                float(mine.min()),
                float(mine.max()),
                float(rank.mean()),
                each,
                float(worst),
                float(skipped.mean()),
            )
        )
    return sorted(lines, key=lambda line: (attacks.index(line.attack), line.rank))


def render(lines: list[Line], *, unit: str, seeds: int, synthetic: bool) -> str:
    """The table as text."""
    what = "accuracy, %" if unit == "accuracy" else f"MAE, {unit}"
    few = len(lines[0].clients) <= 6
    heads = ["attack", "method", what, "95 % of mean", "range over seeds", "rank", "worst client"]
    heads += list(lines[0].clients) if few else []
    rows = []
    for x in lines:
        interval, spread = (
            f"{x.interval[0]:.2f} to {x.interval[1]:.2f}",
            f"{x.low:.2f} to {x.high:.2f}",
        )
        row = [
            x.attack,
            x.method,
            f"{x.mean:.2f}",
            interval,
            spread,
            f"{x.rank:.1f}",
            f"{x.worst:.2f}",
        ]
        rows.append(row + ([f"{v:.2f}" for v in x.clients.values()] if few else []))
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    text = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in [heads, *rows]
    ]
    skipped = [
        f"{x.method} under {x.attack}: {x.skipped:.1f} rounds skipped a seed."
        for x in lines
        if x.skipped
    ]
    title = f"{'Synthetic data. ' if synthetic else ''}{seeds} seeds."
    return "\n".join([title, *text, *skipped])


def render_differences(cells: Cells, names: list[str], against: tuple[str, ...]) -> str:
    """Per client, each method minus a reference method on the same seeds: mean and bootstrap 95 %
    interval.
    """
    text = []
    for (method, attack), (scores, _, _) in cells.items():
        for reference in against:
            if method == reference or (reference, attack) not in cells:
                continue
            paired = scores - cells[reference, attack][0]
            parts = []
            for name, d in zip(names, paired.T):
                low, high = bootstrap_mean(d)
                parts.append(f"{name} {d.mean():+.2f} ({low:+.2f} to {high:+.2f})")
            text.append(f"{attack}: {method} - {reference}: {', '.join(parts)}")
    return "\n".join(text)


def draw(path: Path, lines: list[Line], *, unit: str, synthetic: bool) -> None:
    """Mean and range over seeds, a panel per attack."""
    attacks = list(dict.fromkeys(x.attack for x in lines))
    figure = Figure(
        figsize=(3.2 * len(attacks) + 1, 0.35 * len(lines) / len(attacks) + 1.5),
        layout="constrained",
    )
    for axis, attack in zip(
        figure.subplots(1, len(attacks), sharey=True, squeeze=False)[0], attacks
    ):
        mine = [x for x in lines if x.attack == attack][::-1]
        means = [x.mean for x in mine]
        spread = [
            [m - x.low for m, x in zip(means, mine)],
            [x.high - m for m, x in zip(means, mine)],
        ]
        axis.errorbar(means, range(len(mine)), xerr=spread, fmt="o", capsize=3)
        axis.set_yticks(range(len(mine)), [x.method for x in mine])
        axis.set_title(attack)
        axis.set_xlabel("accuracy, %" if unit == "accuracy" else f"MAE, {unit}")
    figure.suptitle(titled("mean and range over seeds", synthetic))
    save(figure, path)
