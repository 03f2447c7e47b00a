"""A site tells tables of its cohort, once, where its `site.toml` opens them."""

from fedbrain.data.dataset import Scans
from fedbrain.data.describe import describe
from fedbrain.deploy.protocol.beside import write_numbers
from fedbrain.deploy.protocol.described import described_numbers
from fedbrain.deploy.protocol.questions import require_no_vectors, require_terms
from fedbrain.deploy.protocol.wire import Message
from fedbrain.deploy.site_side.worker import Worker


class Described:
    """The tables of a job.

    Args:
      worker: of the first split; its questions are counted there.
      scans: all of the site's.
      fewest: people in a class of whom anything is told.
    """

    def __init__(self, worker: Worker, scans: Scans, *, fewest: int):
        self.worker, self.scans, self.fewest = worker, scans, fewest
        if worker.experiment.describe:
            worker.kinds |= {"describe": self._tell}

    def _tell(self, message: Message) -> bytes:
        worker, columns = self.worker, self.worker.experiment.describe
        asked = require_no_vectors(message)
        require_terms(worker.terms, asked, "describe")
        worker.questions.admit(message)
        numbers = described_numbers(columns, describe(self.scans, columns, fewest=self.fewest))
        return write_numbers(worker.terms, asked, worker.name, "described", numbers)
