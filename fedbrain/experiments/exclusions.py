"""Clients whose updates did not reach the model: told once, counted over a run, kept in the
results.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def newly_excluded(line: Mapping[str, Any], known: set[str]) -> list[str]:
    """Clients that sent something not finite in a round, for the first time; they are added to
    `known`.

    Args:
      line: of the log.
      known: clients that did so in an earlier round.
    """
    names = [name for name, rejected in line["rejected"].items() if rejected and name not in known]
    known.update(names)
    return names


def exclusions(history: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Clients that sent something not finite, with the rounds: the model was made without them.

    Args:
      history: lines of the log.

    Returns:
      client -> {"rounds": without it, "of": rounds that it took part in}.

    >>> line = {"rejected": {"a": 1.0, "b": 0.0}, "steps": {"a": 3.0, "b": 3.0}}
    >>> exclusions([line, line])
    {'a': {'rounds': 2, 'of': 2}}
    """
    lost: dict[str, dict[str, int]] = {}
    for name in dict.fromkeys(n for line in history for n in line["rejected"]):
        there = [line for line in history if line["steps"].get(name, 0) > 0]
        rounds = sum(line["rejected"][name] > 0 for line in there)
        if rounds:
            lost[name] = {"rounds": rounds, "of": len(there)}
    return lost


def absences(history: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Sites of a consortium that were left out of rounds, with the last reason.

    Args:
      history: lines of the server's log.

    Returns:
      site -> {"rounds": without it, "of": rounds, "reason": the last one}.

    >>> lines = [{"left_out": {"a": "no answer before the deadline"}}, {"left_out": {}}]
    >>> absences(lines)
    {'a': {'rounds': 1, 'of': 2, 'reason': 'no answer before the deadline'}}
    """
    lost: dict[str, dict[str, Any]] = {}
    for line in history:
        for site, reason in line["left_out"].items():
            entry = lost.setdefault(site, {"rounds": 0, "of": len(history), "reason": reason})
            entry |= {"rounds": entry["rounds"] + 1, "reason": reason}
    return lost


def sentences(excluded: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Iterable[str]:
    """A line for each client and run.

    Args:
      excluded: run -> client -> as `exclusions` counts.
    """
    for run, clients in excluded.items():
        for client, lost in clients.items():
            yield (
                f"WARNING {run}: {client} is missing in {lost['rounds']} of its {lost['of']}"
                " rounds: what it computed was not finite, and the model was made without it."
            )
