"""`Hospital`: a site's class in a job of the engine, the only class of ours on a site's allow-list.

A site's `site.toml` lies in the `local` folder of its kit. What outlives a process or a job lies in
the kit's `fedbrain/<hash of the configuration>`; `fedbrain/audit.jsonl` has a line for every
message.
"""
# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedbrain import cli
from fedbrain.deploy.nvflare.identity import identity_of
from fedbrain.deploy.nvflare.parcels import pieces, whole
from fedbrain.deploy.nvflare.signed_job import require_signed_by_lead
from fedbrain.deploy.nvflare.transport import JOIN, MESSAGE, NOTICE, OUTLOOK, REFUSED
from fedbrain.deploy.protocol.job import folder_of
from fedbrain.deploy.protocol.outlook import Outlook
from fedbrain.deploy.protocol.record_head import sign_head
from fedbrain.deploy.protocol.register import LARGEST, Note, write_join
from fedbrain.deploy.protocol.sentences import one_line
from fedbrain.deploy.protocol.versions import require_engine, versions
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.agreed import require_agreed
from fedbrain.deploy.site_side.approval import NotApproved, keep_waiting
from fedbrain.deploy.site_side.audit import Audit, end_of
from fedbrain.deploy.site_side.join import Joined, join
from fedbrain.deploy.site_side.old_jobs import remove_old_jobs
from fedbrain.deploy.site_side.policy import Policy, read_policy

# what may name files and people stays at the site: the server receives this sentence in its place
PRIVATE_REASON = "the site cannot take part; its own log says why"


class Hospital(Executor):
    """A site's side of a job."""

    def __init__(self, job: dict):
        super().__init__()
        self.job = job
        self.joined: Joined | None = None

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Joins, or answers a message; what the site refuses it says in a sentence."""
        del abort_signal
        engine: Any = fl_ctx.get_engine()
        kit = Path(engine.get_workspace().get_root_dir())
        audit = Audit(kit / "fedbrain/audit.jsonl")
        if task_name == NOTICE:
            told = one_line(shareable.get(REFUSED, ""))
            self.log_warning(fl_ctx, f"fedbrain: the server refused this site's answer: {told}")
            audit.record("in", told.encode())
            return Shareable()
        outlook = Outlook.UNKNOWN
        try:
            joined = self.joined = self.joined or self._join(fl_ctx)
            data = whole(shareable.pop(MESSAGE))
            audit.record("in", bytes(data)[:LARGEST] if task_name == JOIN else data)
            require_agreed(self._policy(fl_ctx), self.job)
            answer = (
                self._declare(joined, str(fl_ctx.get_identity_name()), audit)
                if task_name == JOIN
                else joined.worker.receive(data)
            )
            require_agreed(self._policy(fl_ctx), self.job)  # training takes hours
            audit.record("out", answer, joined.worker.people.epsilons())
            return Shareable({MESSAGE: pieces(answer)})
        except Refused as error:
            reason = str(error)
            outlook = self._outlook(error)
        except Exception as error:  # also of a job that the program did not expect
            self.log_exception(fl_ctx, f"fedbrain: {error}")
            reason = PRIVATE_REASON
            outlook = self._outlook(error)
        self.log_warning(fl_ctx, f"fedbrain: refused: {reason}")
        audit.record("out", reason.encode())
        return Shareable({REFUSED: reason, OUTLOOK: str(outlook)})

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """A job that is stopped in order did not die."""
        del fl_ctx
        if (
            event_type in (EventType.ABORT_TASK, EventType.ABOUT_TO_END_RUN, EventType.END_RUN)
            and self.joined is not None
        ):
            self.joined.worker.stopped()

    def _declare(self, joined: Joined, name: str, audit: Audit) -> bytes:
        worker, kit = joined.worker, audit.path.parents[1]
        head = sign_head(identity_of(kit), name, end_of(audit.path))
        note = Note(worker.last_round, versions(), head, worker.rounds)
        return write_join(joined.declared, note)

    def _outlook(self, error: Exception) -> Outlook:
        if isinstance(error, NotApproved):
            return Outlook.WAITS
        same = self.joined is None and not isinstance(error, OSError)
        return Outlook.FINAL if same else Outlook.UNKNOWN

    def _policy(self, context: FLContext) -> Policy:
        engine: Any = context.get_engine()
        path = Path(engine.get_workspace().get_site_config_dir()) / "site.toml"
        policy = read_policy(path)
        if policy.name != context.get_identity_name():
            raise ValueError(
                f"{path}: expected the name {context.get_identity_name()!r}, got {policy.name!r}"
            )
        return policy

    def _join(self, context: FLContext) -> Joined:
        cli.configure()
        require_engine()
        engine: Any = context.get_engine()
        workspace = engine.get_workspace()
        policy = self._policy(context)
        kit = workspace.get_root_dir()
        require_signed_by_lead(Path(workspace.get_app_dir(context.get_job_id())), Path(kit))
        remove_old_jobs(Path(kit))
        try:
            workdir = folder_of(kit, self.job)
            shared: Any = {
                "volumes": workdir.parent / "volumes",
                "ledger": workdir.parent / "privacy.json",
            }
            identity = identity_of(Path(kit))
            return join(
                policy, self.job, workdir=workdir, limit=1 << 30, identity=identity, **shared
            )
        except NotApproved:
            keep_waiting(Path(kit), self.job)
            raise
