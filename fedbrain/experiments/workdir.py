"""The work directory of an experiment: one configuration, one process at a time, and a log of JSON
lines that a restart continues.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.leases import held
from fedbrain.experiments.metrics_copies import Copies
from fedbrain.experiments.stored_json import UNREADABLE, part_of, read_stored
from fedbrain.experiments.writing import require_writable, writing

CONFIGURATION = "the configuration of a run"  # what `config.json` should be


def clean(value: Any) -> Any:
    """Plain JSON types; NaN and infinity become null.

    Args:
      value: nested mappings, lists, numbers and arrays.
    """
    if isinstance(value, Mapping):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    if hasattr(value, "tolist"):
        return clean(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON, atomically.

    Args:
      path: of the file; folders are created.
      value: see `clean`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(clean(value), indent=2) + "\n")


def read_config(workdir: Path) -> dict[str, Any]:
    """What `config.json` holds.

    Args:
      workdir: with that file.

    Raises:
      ValueError: when the file is cut, empty, or no object.
    """
    return read_stored(workdir / "config.json", CONFIGURATION)


def config_of(workdir: Path) -> dict[str, Any]:
    """The fields of a stored configuration.

    Args:
      workdir: with `config.json`.

    Raises:
      ValueError: when the file is damaged, or holds none.
    """
    return part_of(read_config(workdir), "config", workdir / "config.json", CONFIGURATION)


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Fields in which two nested configurations differ, as `field: old -> new`.

    Args:
      old: what was stored.
      new: what there is now.
      name: of the field that both are; empty at the top.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(k for k in new if k not in old)]
        return [
            d
            for k in keys
            for d in differences(old.get(k), new.get(k), f"{name}.{k}" if name else k)
        ]
    return [] if old == new else [f"{name}: {old} -> {new}"]


@contextmanager
def claim(workdir: Path, identity: Mapping[str, Any], *, shared: bool = False) -> Iterator[None]:
    """Holds a work directory for one experiment and, unless `shared`, one process.

    Args:
      workdir: created when it is not there.
      identity: the configuration and the data's fingerprint; a resumed run must bring the same.
      shared: processes with the same identity may be here together.

    Raises:
      Busy: when another process runs here.
      ValueError: when the directory holds another experiment, or cannot be written, also by what is
        done while it is held.
    """
    require_writable(workdir)
    require_same(workdir, clean(identity))  # before a lock is left in the folder of another one
    with writing(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        with held(workdir, wait=shared):
            require_same(workdir, clean(identity))
            if not (workdir / "config.json").exists():
                write_json(workdir / "config.json", clean(identity))
            if not shared:
                yield
        if shared:
            yield


def require_same(workdir: Path, identity: Any) -> None:
    """Refuses the work directory of another experiment.

    Args:
      workdir: perhaps of no experiment yet.
      identity: of this one, in plain JSON types.

    Raises:
      ValueError: naming what differs.
    """
    if not (workdir / "config.json").exists():
        return
    changed = differences(read_config(workdir), identity)
    if not changed:
        return
    shown = "; ".join(changed[:3]) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")
    only_rounds = len(changed) == 1 and changed[0].startswith("config.rounds:")
    more = ", or add rounds to this one by --extend" if only_rounds else ", or delete it"
    raise ValueError(
        f"{workdir}: holds another experiment ({shown}). Choose another --workdir{more}."
    )


class MetricsLog:
    """`metrics.jsonl`: one line a round; lines after a restored round are taken back. Copies of it
    for other programs lie beside it.
    """

    def __init__(self, path: Path, *, rounds: int):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.copies = Copies(path.parent)
        self.replace([line for line in self.read(path) if line["round"] <= rounds])

    def replace(self, lines: list[dict[str, Any]]) -> None:
        """Writes the file anew.

        Args:
          lines: all of them.
        """
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        self.copies.replace(lines)

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """All complete lines.

        Args:
          path: of the file, perhaps absent.
        """
        if not path.exists():
            return []
        lines = []
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except UNREADABLE:
                break  # killed in mid-line: the round is run again
            if not isinstance(line, dict) or not isinstance(line.get("round"), int):
                break  # of no round: damaged
            lines.append(line)
        return lines

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends one round.

        Args:
          line: of the round.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(clean(line)) + "\n")
        self.copies.append(clean(line))
