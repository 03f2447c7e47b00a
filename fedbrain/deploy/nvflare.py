"""The two classes that a site's allow-list needs: `Conductor` at the server, `Hospital` at a site.

Only this file imports the engine. A job names the classes and carries a configuration, no code. A site's `site.toml` lies in
the `local` folder of its kit; what must survive a process, and a job, lies in the kit's `fedbrain/<hash of the
configuration>`.
"""
# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedbrain.deploy.conductor import Rules, Site, conduct
from fedbrain.deploy.job import agree, join
from fedbrain.deploy.policy import config_hash, read_policy
from fedbrain.deploy.wire import Refused
from fedbrain.deploy.worker import Worker
from fedbrain.io.run import write_json

MESSAGE, JOIN, REFUSED = "message", "join", "refused"


def _folder(context: FLContext, job: Mapping[str, Any]) -> Path:
    """Of this experiment, in the kit: the same for every job that carries the same configuration."""
    root = context.get_engine().get_workspace().get_root_dir()
    folder = Path(root) / "fedbrain" / config_hash(job["config"])[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Conductor(Controller):
    """The server's side of a job."""

    def __init__(self, job: dict, fewest: int, deadline_s: int, medians: float = 100.0, limit: int = 1 << 30):
        super().__init__()
        self.job, self.deadline_s, self.rules = job, deadline_s, Rules(fewest, medians, limit)

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to prepare."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to let go."""

    def process_result_of_unknown_task(self, client: Client, task_name, client_task_id, result, fl_ctx) -> None:
        """An answer after its deadline: dropped, and told."""
        self.log_warning(fl_ctx, f"{client.name}: an answer to {task_name} after its deadline is dropped.")

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Sites join, then rounds until the end; the best model is in the last checkpoint."""
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        server, workdir = agree(self.job), _folder(fl_ctx, self.job)

        def ask(kind: str, names: Iterable[str], data: bytes) -> list[tuple[str, bytes]]:
            answers: list[tuple[str, bytes]] = []

            def received(client_task: ClientTask, fl_ctx: FLContext) -> None:
                result: Any = client_task.result
                if MESSAGE in result:
                    answers.append((client_task.client.name, result[MESSAGE]))
                else:
                    self.log_warning(fl_ctx, f"{client_task.client.name}: {result.get(REFUSED, result.get_return_code())}")

            task = Task(kind, Shareable({MESSAGE: data}), timeout=self.deadline_s, result_received_cb=received)
            targets = list(names)
            self.broadcast_and_wait(task, fl_ctx, targets, min_responses=len(targets), abort_signal=abort_signal)
            if abort_signal.triggered:
                raise ValueError("The job was stopped.")
            return answers

        sites = {name: Site(**json.loads(data)) for name, data in ask(JOIN, self.job["sites"], b"")}
        if len(sites) < self.rules.fewest:
            raise ValueError(f"Expected at least {self.rules.fewest} sites to join, got {sorted(sites)}. See the log.")

        def transport(messages: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
            (message,) = set(messages.values())
            return ask(MESSAGE, messages, message)

        state = conduct(
            server.experiment, server.terms, transport, sites, server.fresh, self.rules, workdir=workdir, seed=server.seed
        )
        told = {"rounds": int(state.server.round), "best_round": int(state.selection.best_round)}
        write_json(workdir / "results.json", {**told, "best_loss": float(state.selection.best_loss)})
        self.log_info(fl_ctx, f"fedbrain: {told}")


class Hospital(Executor):
    """A site's side of a job."""

    def __init__(self, job: dict):
        super().__init__()
        self.job = job
        self.worker: Worker | None = None

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Joins, or answers a message; what the site refuses it says in a sentence."""
        del abort_signal
        try:
            if task_name == JOIN:
                return Shareable({MESSAGE: json.dumps(self._join(fl_ctx)._asdict()).encode()})
            if self.worker is None:  # the process is new
                self._join(fl_ctx)
            assert self.worker is not None
            return Shareable({MESSAGE: self.worker.receive(shareable[MESSAGE])})
        except (Refused, ValueError) as error:
            self.log_warning(fl_ctx, f"fedbrain: refused: {error}")
            return Shareable({REFUSED: str(error)})

    def _join(self, context: FLContext) -> Site:
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        kit = Path(context.get_engine().get_workspace().get_site_config_dir())
        policy = read_policy(kit / "site.toml")
        if policy.name != context.get_identity_name():
            raise Refused(f"{kit / 'site.toml'}: expected the name {context.get_identity_name()!r}, got {policy.name!r}")
        if self.worker is None:
            self.worker = join(policy, self.job, workdir=_folder(context, self.job), limit=1 << 30)
        return Site(len(self.worker.member.train), len(self.worker.member.valid))
