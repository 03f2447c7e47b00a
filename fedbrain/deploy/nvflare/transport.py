"""Carries questions to sites and their answers back, over the engine: one task a question; answers
are passed on as they arrive.
"""
# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

import gc
import queue
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedbrain.deploy.nvflare.parcels import pieces, whole
from fedbrain.deploy.nvflare.withdrawn_sites import withdrawn_sites
from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.outlook import Outlook, read_outlook
from fedbrain.deploy.protocol.sentences import one_line
from fedbrain.deploy.server_side.status import Progress, lost_sites

# names of tasks; the last one tells a site why its answer was refused
JOIN, MESSAGE, NOTICE = "join", "message", "told"
REFUSED = "refused"  # why: in a site's answer, or in a notice
OUTLOOK = "outlook"  # in a site's answer: what the same job would meet there
WITHDRAWN = "the lead withdrew this site"
TICK_S = 0.05
SWEEP = 10  # ticks


class Transport:
    """Of one job.

    Args:
      controller: whose tasks these are.
      context: of the engine.
      workdir: of the run.
      progress: records who was asked and who answered.
      abort: raised when the job is to stop.
    """

    def __init__(
        self,
        controller: Controller,
        context: FLContext,
        workdir: Path,
        progress: Progress,
        abort: Signal,
    ):
        self.controller, self.context, self.workdir = controller, context, workdir
        self.progress, self.abort = progress, abort
        # the engine's objects hold each other, and large messages: sweeping must cost little
        gc.freeze()

    def __call__(
        self, messages: Mapping[str, bytes], deadline_s: int
    ) -> Iterator[tuple[str, Data]]:
        """See `Transport` of `fedbrain.deploy.server_side.exchange`; a question has one message."""
        (message,) = set(messages.values())
        return self.ask(MESSAGE, messages, message, deadline_s)

    def ask(
        self, task_name: str, names: Iterable[str], data: bytes, deadline_s: int
    ) -> Iterator[tuple[str, Data]]:
        """Answers of sites that are here, until all have come, the deadline has, or nobody is left
        who could.

        Args:
          task_name: JOIN or MESSAGE.
          names: of the sites; those that the lead withdrew are not asked.
          data: the bytes of the question.
          deadline_s: the longest wait, in seconds.

        Raises:
          ValueError: when the job is stopped.
        """
        names = list(names)
        arrived: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()

        def received(client_task: ClientTask, fl_ctx: FLContext) -> None:
            result: Any = client_task.result
            name = client_task.client.name
            if name in self._withdrawn():
                self.progress.refused(name, WITHDRAWN, Outlook.FINAL)
            elif MESSAGE in result:
                arrived.put((name, result.pop(MESSAGE)))  # the engine keeps the rest
                self.progress.answered(name)
            else:
                why = one_line(result.get(REFUSED, result.get_return_code()))
                self.progress.refused(name, why, read_outlook(result.get(OUTLOOK)))

        engine: Any = self.context.get_engine()
        here = {client.name for client in engine.get_clients()}
        withdrawn = self._withdrawn() & set(names)
        gone = withdrawn | lost_sites(self.workdir)
        targets = [name for name in names if name in here - gone]
        self.progress.asked(targets, deadline_s)
        for name in withdrawn:
            self.progress.refused(name, WITHDRAWN, Outlook.FINAL)
        if not targets:
            return
        task = Task(
            task_name,
            Shareable({MESSAGE: pieces(data)}),
            timeout=deadline_s,
            result_received_cb=received,
        )
        self.controller.broadcast(task, self.context, targets, min_responses=len(targets))
        over, ticks = False, 0
        while not over:
            time.sleep(TICK_S)
            ticks += 1
            if ticks % SWEEP == 0:
                gc.collect()
            over = (
                task.completion_status is not None
            )  # before the queue is emptied for the last time
            while not arrived.empty():
                yield _opened(*arrived.get())
            if self.abort.triggered:
                raise ValueError("The job was stopped.")
            gone = self._withdrawn() | lost_sites(self.workdir)
            if not over and set(self.progress.status["waiting"]) <= gone:
                self.controller.cancel_task(task)

    def _withdrawn(self) -> set[str]:
        engine: Any = self.context.get_engine()
        return withdrawn_sites(Path(engine.get_workspace().get_root_dir()))

    def notify(self, site: str, reason: str) -> None:
        """Sends a site the reason why its answer was refused; nothing is expected back.

        Args:
          site: its name.
          reason: a sentence.
        """
        if site in self._withdrawn():
            return
        self.controller.broadcast(
            Task(NOTICE, Shareable({REFUSED: reason}), timeout=60), self.context, [site]
        )


def _opened(
    name: str, parcel: object
) -> tuple[str, Data]:  # a function: its names hold nothing once it has returned
    return name, whole(parcel)
