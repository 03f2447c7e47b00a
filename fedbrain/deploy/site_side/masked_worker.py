"""A site's answers under secure aggregation: those of its worker, but for updates under masks."""

from collections.abc import Mapping
from typing import Any

from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.masked import KEY
from fedbrain.deploy.protocol.questions import require_terms
from fedbrain.deploy.protocol.wire import Refused, pack, unpack
from fedbrain.deploy.site_side.masker import Masker


class MaskedWorker:
    """One site in one run. The worker keeps its update as it is, so that a round can be tried again
    under other masks. All but its answers is the worker's own.

    Args:
      worker: that trains, or the workers of several splits.
      maskers: hash of the experiment, or of a split of it -> who hides what is sent.
      limit: the most bytes of a message.
    """

    def __init__(self, worker: Any, maskers: Mapping[str, Masker], *, limit: int):
        self.worker, self.maskers, self.limit = worker, maskers, limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self.worker, name)

    def receive(self, data: Data) -> bytes:
        """Answers a message of the server.

        Args:
          data: the bytes of the message.

        Raises:
          Refused: saying why there is no answer.
        """
        message = unpack(data, limit=self.limit)
        kind, config = message.envelope.kind, message.envelope.config
        if kind not in (KEY, "train"):
            return self.worker.receive(data)
        if config not in self.maskers:
            raise Refused(f"config: expected that of this job, got {config!r}"[:200])
        masker = self.maskers[config]
        scalars = () if kind == KEY else ("learning_rate_scale",)
        require_terms(masker.terms, message.envelope, kind, scalars)
        if kind == KEY:
            return masker.key(message)
        keys = masker.read(message)
        plain = unpack(self.worker.receive(pack(message.envelope, {})), limit=self.limit)
        return masker.hide(message, keys, plain)
