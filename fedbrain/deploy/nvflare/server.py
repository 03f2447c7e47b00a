"""`Conductor`: the server's class in a job of the engine, the only class of ours on the server's
allow-list.

What outlives a process or a job lies in `fedbrain/<hash of the configuration>` of the server's kit.
"""
# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

import json
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal

from fedbrain import cli
from fedbrain.deploy.nvflare.identity import verifier_of
from fedbrain.deploy.nvflare.transport import JOIN, Transport
from fedbrain.deploy.protocol.job import agree, folder_of
from fedbrain.deploy.protocol.masked import is_masked
from fedbrain.deploy.protocol.record_head import require_head
from fedbrain.deploy.protocol.register import (
    MOST_SCANS,
    changed,
    read_joins,
    recall,
    record_joins,
    register,
    seen_of,
)
from fedbrain.deploy.protocol.splits import agreements_of, names_of
from fedbrain.deploy.protocol.versions import versions
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.exchange import Rules, Side
from fedbrain.deploy.server_side.hand_over import (
    FOLDER,
    TOPIC,
    forget_orders,
    hand_over,
    take_orders,
    take_start,
)
from fedbrain.deploy.server_side.report import Ended, report
from fedbrain.deploy.server_side.rounds import conduct
from fedbrain.deploy.server_side.starting_model import with_start
from fedbrain.deploy.server_side.status import Progress
from fedbrain.experiments.repeats import run_folder
from fedbrain.experiments.rounds import is_over
from fedbrain.experiments.workdir import claim


class Conductor(Controller):
    """The server's side of a job."""

    def __init__(
        self,
        job: dict,
        fewest: int,
        deadline_s: int,
        medians: float = 100.0,
        limit: int = 1 << 30,
        most_scans: int = MOST_SCANS,
        at_start: int = 0,
        lead_elsewhere: bool = False,
    ):
        super().__init__()
        self.lead_elsewhere = lead_elsewhere
        self.most_scans, self.at_start = most_scans, at_start
        self.job, self.rules = job, Rules(fewest, medians, limit, deadline_s)

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to prepare."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to let go."""

    def process_result_of_unknown_task(
        self, client: Client, task_name, client_task_id, result, fl_ctx
    ) -> None:
        """An answer after its deadline: dropped and logged."""
        self.log_warning(
            fl_ctx, f"{client.name}: an answer to {task_name} after its deadline is dropped."
        )

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Sites join, then rounds until the end, then the sites' own tests."""
        cli.configure()
        engine: Any = fl_ctx.get_engine()
        workdir = folder_of(engine.get_workspace().get_root_dir(), self.job)
        # a study may gain sites for the experiments that are to come
        job = {name: value for name, value in self.job.items() if name != "study"}
        workspace, own = engine.get_workspace(), fl_ctx.get_job_id()
        engine.register_app_command(TOPIC, lambda _, orders, context: take_orders(workdir, orders))
        with claim(workdir / "conductor", {"job": job}), Progress(workdir) as progress:
            try:
                forget_orders(workdir)
                take_start(workdir, Path(workspace.get_app_dir(own)))
                self._conduct(abort_signal, fl_ctx, workdir, progress)
            except Exception as error:  # also what nobody expects: the supervisor counts failures
                progress.stopped_by(error)
                raise
            finally:
                if self.lead_elsewhere:
                    hand_over(workdir, Path(workspace.get_run_dir(own)) / FOLDER)

    def _conduct(
        self, abort: Signal, context: FLContext, workdir: Path, progress: Progress
    ) -> None:
        agreement, deadline_s = with_start(agree(self.job), workdir), self.rules.deadline_s
        own = json.dumps(versions()).encode()  # for the sites' records
        transport = Transport(self, context, workdir, progress, abort)
        answers = transport.ask(JOIN, self.job["sites"], own, deadline_s)
        engine: Any = context.get_engine()
        verify = verifier_of(Path(engine.get_workspace().get_root_dir()))
        splits, signed = names_of(agreement), partial(require_head, verify)
        joins = read_joins(answers, self.most_scans, splits, signed)
        known = recall(workdir)
        excluded = changed(known, joins)
        joined = {name: site for name, site in joins.joined.items() if name not in excluded}
        for name, why in {**joins.wrong, **excluded}.items():
            transport.notify(name, why)
        expected = [name for name in self.job["sites"] if name not in joins.wrong]
        refused = progress.status.get("refused", {})
        at_start = self.at_start
        sites = register(workdir, joined, expected=expected, refused=refused, at_start=at_start)
        progress.update(left_out={**joins.wrong, **excluded})
        record_joins(workdir, joins)
        left_out = {name: why for name, why in excluded.items() if name in sites}
        pace, ended = Pace(deadline_s), []
        for of_split in agreements_of(agreement):
            split = of_split.split_id.name
            side = Side(
                of_split,
                transport,
                {name: site.of(split) for name, site in sites.items()},
                self.rules,
                pace,
                progress,
                transport.notify,
                seen_of(joins, split),
                left_out,
                sum(int(federation.snapshot.server.round) for federation in ended),
                is_masked(self.job["config"]["server"]["aggregator"]),
            )
            folder = run_folder(workdir, "federated", of_split.split_id)
            snapshot = conduct(side, folder=folder, stop=(workdir / "stop").exists)
            if not is_over(agreement.experiment, snapshot):
                return
            ended.append(Ended(side, snapshot, folder))
        report(ended, workdir=workdir)
