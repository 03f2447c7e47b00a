"""A lead whose machine is not the server's, so that the lead's key is not on the server: the status
comes over the engine while a job runs, and the results when it is over.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fedbrain.data.scratch import scratch
from fedbrain.deploy.server_side.hand_over import FOLDER, take_over
from fedbrain.deploy.server_side.status import lost_sites, read_status
from fedbrain.deploy.server_side.supervise import Engine, is_over
from fedbrain.experiments.workdir import write_json


@runtime_checkable
class Session(Engine, Protocol):
    """An engine session that reaches into a job."""

    def order(self, job: str, orders: Mapping[str, Any]) -> dict[str, Any] | None:
        """Gives orders to a job that runs; its status, or None where it does not answer."""
        ...

    def fetch(self, job: str, folder: Path) -> None:
        """Brings the files of a job that is over into a folder."""
        ...

    def close(self) -> None:
        """Logs out."""
        ...


class LeadElsewhere:
    """A session for `supervise`, which finds in the lead's work directory what it would find in the
    server's.

    Args:
      session: with the server.
      workdir: of the experiment, on this machine.
    """

    def __init__(self, session: Session, workdir: Path):
        self.session, self.workdir, self.fetched = session, workdir, ""
        self.submit, self.abort, self.forget = session.submit, session.abort, session.forget
        self.sites, self.idle, self.close = session.sites, session.idle, session.close

    def state(self, job: str) -> str:
        """What the engine says of a job; its status or its results are here when this returns.

        Args:
          job: its id.
        """
        state = self.session.state(job)
        if state == "RUNNING":
            stop, lost = (self.workdir / "stop").exists(), sorted(lost_sites(self.workdir))
            self._record(self.session.order(job, {"stop": stop, "lost": lost}))
        elif is_over(state) and state != "GONE" and self.fetched != job:
            self._fetch(job)
            self.fetched = job
        return state

    def _fetch(self, job: str) -> None:
        with scratch(self.workdir, prefix=".arriving-") as folder:
            self.session.fetch(job, folder)
            for path in folder.glob(f"**/{FOLDER}/status.json"):
                take_over(path.parent, self.workdir)
                self._record(read_status(self.workdir))

    def _record(self, status: Mapping[str, Any] | None) -> None:
        """By this machine's clock: the server's may differ."""
        if status:
            write_json(self.workdir / "status.json", {**status, "time": time.time()})
