"""What the server's side of a job is doing: `status.json`, for the supervisor that watches it."""

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.outlook import Awaited, Outlook
from fedbrain.experiments.workdir import write_json

BEAT_S = 2.0  # seconds


class Progress:
    """A context manager: inside, the file is written every two seconds, so that an old file means a
    dead process.

    Args:
      workdir: of the run.
    """

    def __init__(self, workdir: Path):
        self.path = workdir / "status.json"
        self.status = {
            "round": read_status(workdir).get("round", 0),
            "doing": "starting",
            "problem": "",
        }
        self.lock, self.over = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Progress":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def update(self, **fields: Any) -> None:
        """Changes fields of the file."""
        with self.lock:
            self.status = {**self.status, **fields}
            write_json(self.path, {**self.status, "time": time.time()})

    def asked(self, sites: Iterable[str], deadline_s: int) -> None:
        """Records that a question went out, and until when answers are awaited.

        Args:
          sites: that got the question.
          deadline_s: the longest wait, in seconds.
        """
        self.update(waiting=sorted(sites), refused={}, until=time.time() + deadline_s)

    def answered(self, site: str) -> None:
        """Records that a site's answer came.

        Args:
          site: its name.
        """
        self.update(waiting=[name for name in self.status.get("waiting", []) if name != site])

    def refused(self, site: str, why: str, outlook: Outlook) -> None:
        """Records that a site refused, and why.

        Args:
          site: its name.
          why: a sentence.
          outlook: what the same job would meet there.
        """
        self.answered(site)
        self.update(refused={**self.status.get("refused", {}), site: why})
        if outlook is not Outlook.WAITS:
            field = "final" if outlook is Outlook.FINAL else "failed"
            self.update(**{field: {**self.status.get(field, {}), site: why}})

    def stopped_by(self, error: Exception) -> None:
        """Records why the job ends, and whether sites are only awaited.

        Args:
          error: that ends it.
        """
        problem = (
            str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        )
        waits = isinstance(error, Awaited) and not self.status.get("failed")
        self.update(problem=problem, waits=waits)

    def _beat(self) -> None:
        while not self.over.wait(BEAT_S):
            self.update()


def read_status(workdir: Path) -> dict[str, Any]:
    """What `Progress` wrote last; empty when it did not begin yet.

    Args:
      workdir: of the run.
    """
    path = workdir / "status.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def lose_sites(workdir: Path, names: Iterable[str]) -> None:
    """Records that sites will not answer in this job any more: their processes for it are gone.

    Args:
      workdir: of the run.
      names: of the sites.
    """
    write_json(workdir / "lost.json", sorted(names))


def lost_sites(workdir: Path) -> set[str]:
    """The sites that `lose_sites` recorded.

    Args:
      workdir: of the run.
    """
    path = workdir / "lost.json"
    return set(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else set()
