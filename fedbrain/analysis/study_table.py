"""Tables and figures of a study: mean, range and interval over seeds, and rank of each method."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from fedbrain.analysis.cells import number
from fedbrain.analysis.figures import save, titled
from fedbrain.analysis.intervals import over_seeds, span
from fedbrain.analysis.method_differences import Cells

HEADER = ("attack", "method", "95 % of mean", "range over seeds", "rank", "worst client")
# a study of more clients, or where all have the same, has no column for each of them
MOST_CLIENTS = 6


class Line(NamedTuple):
    """The score of one method under one attack."""

    method: str
    attack: str
    mean: float  # over seeds
    interval: tuple[float, float]  # 95 % of the mean, by t; NaN below 3 seeds
    low: float  # smallest over seeds
    high: float  # largest over seeds
    rank: float  # mean over seeds, 1 = best under this attack
    clients: dict[str, float]  # of every client, mean over seeds
    worst: float  # of the worst client, mean over seeds
    skipped: float  # rounds, mean over seeds
    settings: str = ""  # chosen on validation examples, with the number of seeds
    # of differential privacy of clients, for `delta_dp`; None: no number bounds what is told
    epsilon: float | None = None
    delta_dp: float | None = None


def from_numbers(told: Mapping[str, Any]) -> Line:
    """A line of `comparison.json`, whose null is read as NaN.

    Args:
      told: its fields.

    >>> one = Line("FedAvg", "none", 1.0, (0.0, 2.0), 0.0, 2.0, 1.0, {}, 1.0, 0.0)
    >>> from_numbers({**one._asdict(), "epsilon": math.nan, "delta_dp": math.nan}) == one
    True
    """
    line = Line(**{**told, "interval": tuple(told["interval"])})
    bounded = line.epsilon is not None and math.isfinite(line.epsilon)
    return line if bounded else line._replace(epsilon=None, delta_dp=None)


SCORES = ("last", "last_five", "best")
FLOOR = "floor: a constant"  # the line of a constant prediction


def reduce_history(scores: np.ndarray, score: str, better: int) -> np.ndarray:
    """[seeds, evaluations, clients] -> [seeds, clients].

    Args:
      scores: of every evaluation.
      score: `last`; `last_five`, their mean; or `best`, the evaluation with the best mean over
        clients, which is chosen on test data, as in some published tables.
      better: 1 when large scores are good, else -1.

    >>> reduce_history(np.array([[[1.0], [3.0], [2.0]]]), "best", better=1)
    array([[3.]])
    """
    if score == "last":
        return scores[:, -1]
    if score == "last_five":
        return scores[:, -5:].mean(1)
    if score == "best":
        best = np.argmax(better * scores.mean(2), axis=1)
        return scores[np.arange(len(scores)), best]
    raise ValueError(f"config.score: expected 'last', 'last_five' or 'best', got {score!r}.")


def summarise(
    cells: Cells,
    names: list[str],
    better: int,
    *,
    settings: Mapping[tuple[str, str], str] = {},
    privacy: Mapping[tuple[str, str], tuple[float, float, float]] = {},
) -> list[Line]:
    """The lines of the table, best first under each attack.

    The score of a federation is the mean over its test examples.

    Args:
      cells: of all methods and attacks.
      names: of the clients.
      better: 1 when large scores are good, else -1.
      settings: (method, attack) -> what was chosen, where a study is tuned.
      privacy: (method, attack) -> epsilon, delta and mu, of methods that claim privacy.
    """
    # [seeds] of every cell; a run that diverged ranks last
    overall = {key: (s * n).sum(1) / n.sum(1) for key, (s, n, _) in cells.items()}
    ranked = {k: better * np.nan_to_num(x, nan=-better * np.inf) for k, x in overall.items()}
    lines = []
    for (method, attack), (scores, _, skipped) in cells.items():
        score = overall[method, attack]
        rivals = np.stack([ranked[key] for key in cells if key[1] == attack])
        rank = 1 + (rivals > ranked[method, attack]).sum(0)
        worst = scores.min(1) if better > 0 else scores.max(1)
        line = Line(
            method=method,
            attack=attack,
            mean=float(score.mean()),
            interval=_possible(over_seeds(score), better),
            low=float(score.min()),
            high=float(score.max()),
            rank=float(rank.mean()),
            clients=dict(zip(names, scores.mean(0).tolist())),
            worst=float(worst.mean()),
            skipped=float(skipped.mean()),
            settings=settings.get((method, attack), ""),
            **bounded(*privacy.get((method, attack), ())),
        )
        lines.append(line)
    attacks = list(dict.fromkeys(attack for _, attack in cells))
    return sorted(lines, key=lambda line: (attacks.index(line.attack), line.rank))


def _possible(interval: tuple[float, float], better: int) -> tuple[float, float]:
    """The part of an interval where a score can be: a percentage, or an error of at least 0."""
    low, high = np.clip(interval, 0, 100 if better > 0 else np.inf).tolist()
    return low, high


def bounded(
    epsilon: float = math.inf, delta_dp: float = 0.0, mu: float = math.inf
) -> dict[str, float | None]:
    """The fields of a line that tell its privacy.

    >>> bounded(3.0, 1e-5, 0.719)["epsilon"], bounded()["epsilon"]
    (3.0, None)
    """
    del mu  # it says the same as the other two
    known = math.isfinite(epsilon)
    return {"epsilon": epsilon if known else None, "delta_dp": delta_dp if known else None}


def privacy_cell(line: Line) -> str:
    """Epsilon and delta, or that there is no bound.

    >>> one = Line("FedAvg", "none", 1.0, (1.0, 1.0), 1.0, 1.0, 1.0, {}, 1.0, 0.0)
    >>> privacy_cell(one), privacy_cell(one._replace(epsilon=2.999999, delta_dp=1e-5))
    ('no bound', '3.00 at 1e-05')
    """
    if line.epsilon is None:
        return "no bound"
    return f"{line.epsilon:.2f} at {line.delta_dp:g}"


def rows_of(lines: list[Line], unit: str) -> list[list[str]]:
    """The cells of the table; the first row is the header.

    Args:
      lines: of the table.
      unit: years, ..., or accuracy.
    """
    differ = any(len(set(x.clients.values())) > 1 for x in lines)
    with_clients = differ and len(lines[0].clients) <= MOST_CLIENTS
    rows = [[*HEADER[:2], score_label(unit), *HEADER[2:]]]
    rows[0] += list(lines[0].clients) if with_clients else []
    private = any(x.epsilon is not None for x in lines)
    rows[0] += ["epsilon at delta"] if private else []
    tuned = any(x.settings for x in lines)
    rows[0] += ["settings chosen, seeds x fields"] if tuned else []
    for x in lines:
        row = [x.attack, x.method, number(x.mean), span(x.interval), span((x.low, x.high))]
        row += [number(x.rank, ".1f"), number(x.worst)]
        row += [number(v) for v in x.clients.values()] if with_clients else []
        row += [privacy_cell(x)] if private else []
        row += [x.settings] if tuned else []
        rows.append(row)
    return rows


def skipped_rounds(lines: list[Line]) -> list[str]:
    """Methods whose server skipped rounds, a sentence each.

    Args:
      lines: of the table.
    """
    return [
        f"{x.method} under {x.attack}: {x.skipped:.1f} rounds skipped a seed."
        for x in lines
        if x.skipped
    ]


def render(lines: list[Line], *, unit: str, seeds: int, synthetic: bool) -> str:
    """The table as text.

    Args:
      lines: of the table.
      unit: years, ..., or accuracy.
      seeds: how many.
      synthetic: whether the data are synthetic.
    """
    rows = rows_of(lines, unit)
    widths = [max(map(len, column)) for column in zip(*rows)]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
    title = f"{'Synthetic data. ' if synthetic else ''}{seeds} seeds."
    return "\n".join([title, *text, *skipped_rounds(lines)])


def score_label(unit: str) -> str:
    """Label of a score's axis or column."""
    return "accuracy, %" if unit == "accuracy" else f"MAE, {unit}"


def draw(path: Path, lines: list[Line], *, unit: str, synthetic: bool) -> None:
    """Mean and range over seeds, a panel per attack."""
    attacks = list(dict.fromkeys(x.attack for x in lines))
    size = (3.2 * len(attacks) + 1, 0.35 * len(lines) / len(attacks) + 1.5)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(attacks), sharey=True, squeeze=False)[0]
    for axis, attack in zip(panels, attacks):
        shown = [x for x in lines if x.attack == attack][::-1]
        spread = [[x.mean - x.low for x in shown], [x.high - x.mean for x in shown]]
        places = range(len(shown))
        axis.errorbar([x.mean for x in shown], places, xerr=spread, fmt="o", capsize=3)
        axis.set_yticks(places, [x.method for x in shown])
        axis.set_ylim(-0.6, len(shown) - 0.4)
        axis.set_title(attack)
        axis.set_xlabel(score_label(unit))
    figure.suptitle(titled("mean and range over seeds", synthetic))
    save(figure, path)
