"""A site for `benchmarks.deployment` that answers at once and trains nothing.

Its answers have the right count and kind of numbers.
"""
# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedbrain.deploy.nvflare.identity import identity_of
from fedbrain.deploy.nvflare.parcels import pieces, whole
from fedbrain.deploy.nvflare.transport import JOIN, MESSAGE
from fedbrain.deploy.protocol.record_head import sign_head
from fedbrain.deploy.protocol.register import Note, Registration, write_join
from fedbrain.deploy.protocol.wire import Envelope, pack, schema, unpack
from fedbrain.deploy.site_side.audit import Audit, end_of

CODINGS = ("float32", "bfloat16", "int8")


def numbers(n: int, coding: str) -> np.ndarray:
    """A vector that the wire sends in this coding; above 0, since some numbers are variances."""
    x = np.random.default_rng(0).uniform(0.5, 1.5, size=n).astype(np.float32) * np.float32(1e-3)
    if coding == "bfloat16":
        return x.astype(jnp.bfloat16).astype(np.float32)
    if coding == "int8":
        levels = np.random.default_rng(0).integers(1, 128, n).astype(np.float32)
        levels[::256] = 127
        return levels * np.float32(2**-12)
    return x


class Echo(Executor):
    """See above. One round float32, the next bfloat16, the next int8, and so on.

    Args:
      told: `sizes` of collections, `schema` of an update, names of its `metrics`.
    """

    def __init__(self, told: dict):
        super().__init__()
        self.told, self.vectors = told, {}

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Answers like a site."""
        del abort_signal
        if task_name == JOIN:
            return Shareable({MESSAGE: pieces(self._declare(fl_ctx))})
        asked = unpack(whole(shareable[MESSAGE]), limit=1 << 30).envelope
        name = str(fl_ctx.get_identity_name())
        if asked.kind == "train":
            coding = CODINGS[asked.round % 3]
            if coding not in self.vectors:
                self.vectors[coding] = {
                    k: numbers(n, coding) for k, n in self.told["sizes"].items()
                }
            scalars = {"weight": 100.0, **dict.fromkeys(self.told["metrics"], 1.0)}
            envelope = Envelope(
                "update", name, asked.round, asked.nonce, asked.config, self.told["schema"], scalars
            )
            return Shareable({MESSAGE: pieces(pack(envelope, self.vectors[coding]))})
        scalars = {"loss": 100.0 - asked.round, "count": 10.0}
        if asked.kind == "report":
            keys = ("n", "subjects", "mae", "mae_low", "mae_high", "rmse", "r2", "floor_mae")
            scalars = {key: 1.0 for key in keys}
        kind = "reported" if asked.kind == "report" else "validated"
        return Shareable(
            {
                MESSAGE: pack(
                    Envelope(
                        kind, name, asked.round, asked.nonce, asked.config, schema({}), scalars
                    ),
                    {},
                )
            }
        )

    def _declare(self, context: FLContext) -> bytes:
        """A hundred scans, with the signed end of an empty record."""
        engine: Any = context.get_engine()
        kit = Path(engine.get_workspace().get_root_dir())
        end = end_of(Audit(kit / "fedbrain/audit.jsonl").path)
        head = sign_head(identity_of(kit), str(context.get_identity_name()), end)
        return write_join(Registration(100, 10, 10, True), Note(record=head))
