"""Average ranks of methods over several studies, with their critical difference."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fedbrain.analysis import average_ranks
from fedbrain.analysis.study_table import FLOOR
from fedbrain.experiments.finished import read_comparison
from fedbrain.experiments.workdir import write_json


class Block(NamedTuple):
    """A study under one attack."""

    name: str
    better: int  # 1 when large scores are good, else -1
    scores: dict[str, float]  # method -> mean over seeds
    synthetic: bool


def blocks_of(workdir: Path) -> list[Block]:
    """A finished study under each of its attacks.

    Args:
      workdir: of the study.

    Raises:
      ValueError: when there is none.
    """
    told = read_comparison(workdir)
    better = 1 if told["unit"] == "accuracy" else -1
    scores: dict[str, dict[str, float]] = {}
    for line in told["lines"]:
        if line["method"] != FLOOR:
            scores.setdefault(line["attack"], {})[line["method"]] = line["mean"]
    return [
        Block(f"{workdir.name}, {attack}", better, found, told["synthetic"])
        for attack, found in scores.items()
    ]


def run(workdirs: list[Path], output: Path) -> None:
    """Ranks the methods that all studies have; writes a figure and the numbers, and prints them.

    Args:
      workdirs: of finished studies.
      output: the figure, a PNG file; the numbers go beside it as JSON.

    Raises:
      ValueError: for fewer than 3 common methods or 2 problems.
    """
    blocks = [block for workdir in workdirs for block in blocks_of(workdir)]
    methods = [m for m in blocks[0].scores if all(m in block.scores for block in blocks)]
    scores = np.array([[block.scores[m] for m in methods] for block in blocks], np.float64)
    ranks = average_ranks.ranks_of(scores, methods, [block.better for block in blocks])
    average_ranks.draw(output, ranks, synthetic=any(block.synthetic for block in blocks))
    names = [block.name for block in blocks]
    write_json(output.with_suffix(".json"), {**ranks._asdict(), "problems": names})
    left_out = sorted({m for block in blocks for m in block.scores} - set(methods))
    print(f"Problems: {'; '.join(names)}.")
    if left_out:
        print(f"Left out, since some study lacks them: {', '.join(left_out)}.")
    print(average_ranks.render(ranks))
    if len(blocks) > len(workdirs):
        print("Attacks of one study share data: their ranks are less than independent problems.")
    print(f"Figure: {output}")
