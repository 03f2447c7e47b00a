"""`Conductor`: the server's side of a job, the only class of ours that the server's allow-list needs.

What must survive a process, and a job, lies in `fedbrain/<hash of the configuration>` of the server's kit.
"""
# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedbrain import startup
from fedbrain.deploy.conductor import Rules, Side, conduct, over
from fedbrain.deploy.job import agree, folder_of
from fedbrain.deploy.pace import Pace
from fedbrain.deploy.progress import Progress, lost_sites
from fedbrain.deploy.register import Site, register
from fedbrain.deploy.report import report
from fedbrain.io.run import claim

TICK_S = 0.1
JOIN, MESSAGE, TOLD = "join", "message", "told"  # tasks
REFUSED = "refused"  # why: in an answer, or in what a site is told of its own


class Conductor(Controller):
    """The server's side of a job."""

    def __init__(self, job: dict, fewest: int, deadline_s: int, medians: float = 100.0, limit: int = 1 << 30):
        super().__init__()
        self.job, self.rules = job, Rules(fewest, medians, limit, deadline_s)

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to prepare."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to let go."""

    def process_result_of_unknown_task(self, client: Client, task_name, client_task_id, result, fl_ctx) -> None:
        """An answer after its deadline: dropped, and told."""
        self.log_warning(fl_ctx, f"{client.name}: an answer to {task_name} after its deadline is dropped.")

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Sites join, then rounds until the end, then the sites' own tests."""
        startup.configure()
        workdir = folder_of(fl_ctx.get_engine().get_workspace().get_root_dir(), self.job)
        with claim(workdir / "conductor", {"job": self.job}), Progress(workdir) as progress:
            try:
                self._conduct(abort_signal, fl_ctx, workdir, progress)
            except ValueError as error:
                progress.tell(problem=str(error))
                raise

    def _conduct(self, abort_signal: Signal, fl_ctx: FLContext, workdir, progress: Progress) -> None:
        agreement = agree(self.job)

        def ask(task_name: str, names: Iterable[str], data: bytes, deadline_s: int) -> list[tuple[str, bytes]]:
            answers: list[tuple[str, bytes]] = []

            def received(client_task: ClientTask, fl_ctx: FLContext) -> None:
                result: Any = client_task.result
                name = client_task.client.name
                if MESSAGE in result:
                    answers.append((name, result[MESSAGE]))
                    progress.answered(name)
                else:
                    progress.refused(name, str(result.get(REFUSED, result.get_return_code())))

            here = {client.name for client in fl_ctx.get_engine().get_clients()}
            targets = [name for name in names if name in here - lost_sites(workdir)]
            if targets:
                task = Task(task_name, Shareable({MESSAGE: data}), timeout=deadline_s, result_received_cb=received)
                progress.asked(targets, deadline_s)
                self.broadcast(task, fl_ctx, targets, min_responses=len(targets))
                while task.completion_status is None and not abort_signal.triggered:
                    time.sleep(TICK_S)
                    if set(progress.told["waiting"]) <= lost_sites(workdir):
                        self.cancel_task(task)
            if abort_signal.triggered:
                raise ValueError("The job was stopped.")
            return answers

        joined = {n: Site(**json.loads(d)) for n, d in ask(JOIN, self.job["sites"], b"", self.rules.deadline_s)}
        refused = progress.told.get("refused", {})
        sites = register(workdir, joined, expected=self.job["sites"], refused=refused)

        def transport(messages: Mapping[str, bytes], deadline_s: int) -> list[tuple[str, bytes]]:
            (message,) = set(messages.values())
            return ask(MESSAGE, messages, message, deadline_s)

        def tell(site: str, why: str) -> None:
            self.broadcast(Task(TOLD, Shareable({REFUSED: why}), timeout=60), fl_ctx, [site])

        side = Side(agreement, transport, sites, self.rules, Pace(self.rules.deadline_s), progress, tell)
        state = conduct(side, workdir=workdir)
        if over(side, state):
            report(side, state, workdir=workdir)
