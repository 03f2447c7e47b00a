"""A site lends the model that it trained alone, and tests those of the others, where its
`site.toml` says `crossed = true`.
"""

from collections.abc import Sequence

from fedbrain.analysis.statistics import accuracy
from fedbrain.deploy.protocol.answers import write_report
from fedbrain.deploy.protocol.crossed import read_try, write_lent
from fedbrain.deploy.protocol.questions import require_no_vectors, require_terms
from fedbrain.deploy.protocol.runnable import ALONE
from fedbrain.deploy.protocol.wire import Message
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.saved_models import load_models


class Crossed:
    """The models of a job.

    Args:
      worker: of the job's one split; its questions are counted there.
      sites: names, of the job.
    """

    def __init__(self, worker: Worker, sites: Sequence[str]):
        self.worker, self.sites = worker, sorted(sites)
        if worker.agreement.crossed:
            worker.kinds |= {"lend": self._lend, "try": self._try}
            worker.questions.beside |= {"lend": 1, "try": len(sites)}

    def _lend(self, message: Message) -> bytes:
        worker = self.worker
        asked = require_no_vectors(message)
        require_terms(worker.terms, asked, "lend")
        worker.questions.admit(message)
        [(_, own)] = load_models(worker.tester.workdir, federation=f"{ALONE}-{worker.name}")
        return write_lent(worker.terms, asked, worker.name, own)

    def _try(self, message: Message) -> bytes:
        worker = self.worker
        variables = read_try(worker.terms, message)
        worker.questions.admit(message)
        tests = worker.tester.predict(variables, worker.split.test, worker.split)
        worker.tester.require_enough(tests)
        return write_report(
            worker.terms, message.envelope, worker.name, accuracy(tests), kind="tried"
        )
