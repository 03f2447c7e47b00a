"""What the server's side of a job is doing, in `status.json`: for the terminal, and for the supervisor that watches it."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fedbrain.io.run import write_json

BEAT_S = 2.0  # seconds


class Progress:
    """A context: while it lasts the file is written anew every two seconds, so that an old file means a dead process."""

    def __init__(self, workdir: Path):
        self.path, self.told = workdir / "status.json", {"round": 0, "doing": "starting", "problem": ""}
        self.lock, self.over = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Progress":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def tell(self, **news: Any) -> None:
        """Changes what the file says."""
        with self.lock:
            self.told = {**self.told, **news}
            write_json(self.path, {**self.told, "time": time.time()})

    def asked(self, sites: Iterable[str], deadline_s: int) -> None:
        """A question went out."""
        self.tell(waiting=sorted(sites), refused={}, until=time.time() + deadline_s)

    def answered(self, site: str) -> None:
        """One answer came."""
        self.tell(waiting=[name for name in self.told.get("waiting", []) if name != site])

    def refused(self, site: str, why: str) -> None:
        """A site said no."""
        self.answered(site)
        self.tell(refused={**self.told.get("refused", {}), site: why})

    def _beat(self) -> None:
        while not self.over.wait(BEAT_S):
            self.tell()
