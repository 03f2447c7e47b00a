"""Linear regressions at the server: the sum of what sites tell, the regression that follows, and a
row of test results of each site.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedbrain.analysis.least_squares import solve
from fedbrain.deploy.protocol.beside import write_beside
from fedbrain.deploy.protocol.linear import (
    Regressors,
    fit_scalars,
    product_names,
    read_linear,
    read_products,
)
from fedbrain.deploy.protocol.plausible import HIGHEST_SUM, KEPT
from fedbrain.deploy.server_side.exchange import Answers, Asked, Side, ask, require_enough
from fedbrain.deploy.server_side.splits_ended import Ended, with_tests_of_all
from fedbrain.experiments.workdir import write_json


class Floor(NamedTuple):
    """One regression of a job, tested."""

    title: str  # what tables call it
    answers: Answers  # rows of the sites
    without: Mapping[str, str]  # sites whose people are not in the sums -> why


def collect_floors(ended: Sequence[Ended]) -> list[Floor]:
    """Fits every regression of the job in every split, and has sites test it.

    Args:
      ended: splits of the run.

    Raises:
      ValueError: when too few sites tell their sums.
    """
    floors = []
    for number, regressors in enumerate(read_linear(ended[0].side.agreement.experiment.baselines)):
        without: dict[str, str] = {}
        for one in ended[:-1]:
            fit = _fit(one, number, regressors, without)
            _test(one.side, number, fit, KEPT["fitted"])
        fit = _fit(ended[-1], number, regressors, without)
        side = with_tests_of_all(ended)
        answers = _test(side, number, fit, "fitted")
        floors.append(Floor(regressors.title, answers, without))
    return floors


def _fit(
    ended: Ended, number: int, regressors: Regressors, without: dict[str, str]
) -> dict[str, float]:
    """The regression of a split: a site answers for one, so the same one after a loss."""
    path = ended.folder / f"linear-{number}.json"
    if not path.is_file():
        nonce, side = secrets.token_hex(16), ended.side
        question = write_beside(side.agreement.terms, "sums", number, nonce=nonce)
        names = product_names(regressors)
        asked = Asked("summed", number, nonce, question, names)
        answers = ask(side, side.sites, asked)
        leave_out(side, answers)
        occasion = f"config.baselines, {regressors.title}"
        require_enough(answers.admitted, answers.left_out, side.rules.fewest, occasion)
        told = [answers.admitted[name].envelope.scalars for name in sorted(answers.admitted)]
        fit = solve(np.add.reduce([read_products(regressors, sums) for sums in told]))
        known = {"fit": fit_scalars(regressors, fit), "without": answers.left_out}
        write_json(path, known)
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    without |= known["without"]
    return known["fit"]


def leave_out(side: Side, answers: Answers) -> None:
    """Leaves out sums of other people than their site declared, or larger than any: the regression
    would be that site's alone, or none.

    Args:
      side: the server's.
      answers: of sites, which this changes.
    """
    for name, message in list(answers.admitted.items()):
        told, declared = message.envelope.scalars, side.sites[name].train
        why = ""
        if told["1*1"] != declared:
            why = f"1*1: expected the {declared} training scans declared, got {told['1*1']:g}"
        largest = max(told, key=lambda key: abs(told[key]))
        if abs(told[largest]) > HIGHEST_SUM:
            why = f"{largest}: expected a sum up to {HIGHEST_SUM:g}, got {told[largest]:g}"
        if why:
            side.notify(name, why)
            del answers.admitted[name]
            answers.left_out[name] = why


def _test(side: Side, number: int, fit: Mapping[str, float], kind: str) -> Answers:
    nonce = secrets.token_hex(16)
    question = write_beside(side.agreement.terms, "fit", number, nonce=nonce, scalars=fit)
    return ask(side, side.sites, Asked(kind, number, nonce, question))
