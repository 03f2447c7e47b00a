"""Voxel-wise ComBat at the server, before the first round: sums of all sites, and what follows."""

import io
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fedbrain.data.voxel_combat import Common, Told, combine, spread
from fedbrain.data.whole_file import write_whole
from fedbrain.deploy.protocol.voxels import ANSWERS, write_voxels
from fedbrain.deploy.protocol.wire import Vectors
from fedbrain.deploy.server_side.exchange import Answers, Asked, Side, ask, require_enough

Arrays = dict[str, np.ndarray]


def harmonise(side: Side, folder: Path) -> None:
    """Has every site take its own shift out of its images, if the job says so.

    What was found is in files: a site answers one question, so the same one after a loss.

    Args:
      side: the server's.
      folder: of the federation.

    Raises:
      ValueError: when too few sites tell their sums, or covariates cannot be told from sites.
    """
    if side.agreement.experiment.harmonise is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    found = _once(folder / "voxel_means.npz", lambda: _means(side))
    common = {name: found[name] for name in Common._fields}
    sites = [str(name) for name in found["sites"]]
    sigma = _once(folder / "voxel_sigma.npz", lambda: _sigma(side, sites, common, found["people"]))
    _ask(side, side.sites, "shift", {**common, **sigma})


def _once(path: Path, find: Callable[[], Arrays]) -> Arrays:
    if not path.is_file():
        written, found = io.BytesIO(), find()
        np.savez(written, **dict[str, Any](found))
        write_whole(path, written.getvalue())
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _ask(side: Side, names: Iterable[str], kind: str, vectors: Vectors) -> Answers:
    nonce, agreement = secrets.token_hex(16), side.agreement
    question = write_voxels(agreement.terms, agreement.experiment, kind, vectors, nonce=nonce)
    return ask(side, names, Asked(ANSWERS[kind], 0, nonce, question))


def _means(side: Side) -> Arrays:
    """The regression, how many scans it is of, and whose."""
    answers = _ask(side, side.sites, "means", {})
    for name, message in list(answers.admitted.items()):
        people, declared = message.vectors["covariates"][0], side.sites[name].train
        if people != declared:
            why = f"covariates: expected the {declared} training scans declared, got {people:g}"
            side.notify(name, why)
            del answers.admitted[name]
            answers.left_out[name] = why
    occasion = "config.harmonise, sums of voxels"
    require_enough(answers.admitted, answers.left_out, max(2, side.rules.fewest), occasion)
    sites = sorted(answers.admitted)
    told = [Told(**answers.admitted[name].vectors) for name in sites]
    assert side.agreement.experiment.harmonise is not None
    common = combine(told, len(side.agreement.experiment.harmonise.columns))
    people = sum(side.sites[name].train for name in sites)
    return {**common._asdict(), "people": np.asarray(people), "sites": np.asarray(sites)}


def _sigma(side: Side, sites: list[str], common: Arrays, people: np.ndarray) -> Arrays:
    """sigma, of the same scans as the regression."""
    answers = _ask(side, sites, "spread", common)
    occasion = "config.harmonise, squares of voxels"
    require_enough(answers.admitted, answers.left_out, len(sites), occasion)
    squares = [answers.admitted[name].vectors["squares"] for name in sites]
    return {"sigma": spread(squares, int(people))}
