"""A session of the consortium's lead with the server: to submit and stop jobs, to see their state,
to withdraw sites. Every lost connection is a ConnectionError.
"""
# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

import contextlib
import io
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nvflare.fuel.flare_api.api_spec import (
    AuthenticationError,
    AuthorizationError,
    InternalError,
    JobNotFound,
    JobNotRunning,
    NoClientsAvailable,
    NoReply,
)
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session

from fedbrain.deploy.server_side.hand_over import TOPIC

UNTIL_S = 20.0  # seconds to connect


class Lead:
    """What `fedbrain.deploy.server_side.supervise` needs of an engine.

    Args:
      kit: of the lead.

    Raises:
      ValueError: for a folder that is no kit of a lead.
    """

    def __init__(self, kit: Path):
        self.kit, self.name = kit, name_of_lead(kit)
        self.session: Session | None = None

    def submit(self, job: Path) -> str:
        """Submits a job and returns its id.

        Args:
          job: folder.
        """
        return self._do(lambda session: session.submit_job(str(job.absolute())))

    def state(self, job: str) -> str:
        """As the engine names it; "GONE" when the server knows nothing of it, "LOST" when it has no
        process for it.

        Args:
          job: its id.
        """
        try:
            state = str(self._do(lambda session: session.get_job_meta(job))["status"])
            if state == "RUNNING":
                info = self._do(lambda session: session.get_system_info())
                return state if job in {running.job_id for running in info.job_info} else "LOST"
            return state
        except LookupError:
            return "GONE"

    def abort(self, job: str) -> None:
        """Stops a job; one that is over stays over.

        Args:
          job: its id.
        """
        with contextlib.suppress(LookupError, ConnectionError):
            self._do(lambda session: session.abort_job(job))

    def forget(self, job: str) -> None:
        """Removes a job that is over from the server's disk; what it gave lies elsewhere.

        Args:
          job: its id.
        """
        with contextlib.suppress(LookupError, ConnectionError, ValueError):
            self._do(lambda session: session.delete_job(job))

    def sites(self) -> dict[str, float]:
        """Connected sites, and seconds since the server heard of each."""
        try:
            info: Any = self._do(lambda session: session.get_system_info())
        except LookupError:
            return {}
        return {
            c.name: max(0.0, time.time() - float(c.last_connect_time or 0))
            for c in info.client_info
        }

    def idle(self, job: str) -> set[str]:
        """Connected sites that do not run a job.

        Args:
          job: its id.
        """
        try:
            statuses = self._do(lambda session: session.get_client_job_status()) or []
        except LookupError:
            return set()
        at_work = {s["client_name"] for s in statuses if s.get("job_id") == job}
        return {s["client_name"] for s in statuses} - at_work

    def withdraw(self, site: str) -> None:
        """The server refuses this site from now on, whatever its certificate says.

        Args:
          site: its name.
        """
        self._do(lambda session: session.disable_client(site))

    def readmit(self, site: str) -> None:
        """Undoes `withdraw`.

        Args:
          site: its name.
        """
        self._do(lambda session: session.enable_client(site))

    def order(self, job: str, orders: Mapping[str, Any]) -> dict[str, Any] | None:
        """Gives orders to a job that runs; its status, or None where it does not answer.

        Args:
          job: its id.
          orders: for `fedbrain.deploy.server_side.hand_over.take_orders`.
        """

        def ask(session: Session) -> dict[str, Any] | None:
            with contextlib.suppress(JobNotRunning, NoReply, InternalError):
                return session.do_app_command(job, TOPIC, dict(orders))
            return None

        with contextlib.suppress(LookupError):
            return self._do(ask)
        return None

    def fetch(self, job: str, folder: Path) -> None:
        """Brings the files of a job that is over.

        Args:
          job: its id.
          folder: where they go.
        """
        self._do(lambda session: session.download_job_result(job, str(folder)))

    def close(self) -> None:
        """Logs out."""
        if self.session is not None:
            with contextlib.suppress(Exception):
                self.session.close()
        self.session = None

    def _do(self, request: Callable[[Session], Any]) -> Any:
        try:
            if self.session is None:
                logging.getLogger().setLevel(logging.ERROR)  # the engine tells of every connection
                logging.getLogger("nvflare").setLevel(logging.CRITICAL)  # this class says why
                with contextlib.redirect_stdout(io.StringIO()):
                    self.session = new_secure_session(self.name, str(self.kit), timeout=UNTIL_S)
            return request(self.session)
        except (JobNotFound, NoClientsAvailable) as error:
            raise LookupError(str(error)) from None
        except (AuthenticationError, AuthorizationError) as error:
            self.close()
            raise ValueError(f"{self.kit}: the server refuses this lead: {error}") from None
        except (
            Exception
        ) as error:  # the engine has a dozen ways to say that the server is not there
            self.close()
            raise ConnectionError(_why(error)) from None


def name_of_lead(kit: Path) -> str:
    """The lead's name, as the kit's certificate has it; the folder may have any name.

    Args:
      kit: of the lead.

    Raises:
      ValueError: for a folder that is no kit of a lead.
    """
    path = kit / "startup/fed_admin.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["admin"]["username"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"--lead: expected the folder of a lead's kit, with {path.relative_to(kit)}, got {kit}."
        ) from None


def _why(error: Exception) -> str:
    """What an error says, and more where the server answered and took no part."""
    if "client_registration" not in str(error):
        return str(error)
    return (
        "it answers, and does not register this lead. Take the kit that this consortium's authority"
        f" made last ({error})"
    )
