"""A study: methods x attacks x seeds on a small federation. Its cells, and the data of every seed.

A cell is a configuration with the overrides of its method and its attack.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from fedbrain.data.problem import Problem
from fedbrain.data.problems import PROBLEMS
from fedbrain.experiments.spec import at_least, choose


class Cell(NamedTuple):
    """One method under one attack."""

    method: str  # its name
    attack: str  # its name
    config: Any  # an `ml_collections.ConfigDict`: the study's with both overrides
    settings: Mapping[str, Any] = {}  # field, with dots -> its value, where fields are tuned
    seeds: tuple[int, ...] | None = None  # numbers of the seeds that are run; None: all

    def identity(self) -> dict[str, Any]:
        """What its file says of it beside the scores."""
        tuned = {"settings": dict(self.settings), "seeds": self.seeds} if self.settings else {}
        return {"method": self.method, "attack": self.attack, **tuned}


def cells(config: Any) -> Iterator[Cell]:
    """Every method under every attack: the study's own fields, then the attack's, then the
    method's; links are joined.

    Args:
      config: of the study.

    Raises:
      ValueError: when a method or an attack sets a field that a study does not have.
    """
    for attack, attack_fields in config.attacks.items():
        for method, method_fields in config.methods.items():
            overrides = [(attack, attack_fields), (method, method_fields)]
            yield Cell(method, attack, composed(config, overrides))


def composed(config: Any, overrides: Sequence[tuple[str, Any]]) -> Any:
    """The configuration of a cell: the study's, changed by nested dictionaries one after the other.

    Args:
      config: of the study.
      overrides: (name, for the sentence; fields).

    Raises:
      ValueError: when one sets a field that a study does not have.
    """
    cell: Any = ConfigDict(config.to_dict(), allow_dotted_keys=True)  # of names
    cell.lock()
    for name, fields in overrides:
        try:
            cell.update(fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"config: {name!r} sets a field that a study does not have: {error}"
            ) from None
    server: Any = cell.server
    server.links = (*cell.attack, *server.links)  # pyright: ignore[reportAttributeAccessIssue]
    return cell


def draw_problems(config: Any) -> list[Problem]:
    """The problem of every seed.

    Args:
      config: of the study.
    """
    problem = choose("problem", config.problem, PROBLEMS)
    return [problem(config.seed + s) for s in range(at_least("seeds", config.seeds, 1))]


def fingerprint(problems: list[Problem]) -> str:
    """A digest of all examples: cells of other data are not taken for these.

    Args:
      problems: the data of every seed.
    """
    digest = hashlib.sha256()
    for problem in problems:
        for name in sorted(problem.clients):
            digest.update(name.encode())
            for part in problem.clients[name]:
                for array in part:
                    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
