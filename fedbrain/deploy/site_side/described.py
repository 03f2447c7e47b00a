"""A site tells tables of its cohort, once, where its `site.toml` opens them."""

from collections.abc import Mapping

from fedbrain.data.dataset import Scans
from fedbrain.deploy.protocol.beside import write_numbers
from fedbrain.deploy.protocol.described import described_numbers
from fedbrain.deploy.protocol.questions import require_no_vectors, require_terms
from fedbrain.deploy.protocol.wire import Message
from fedbrain.deploy.site_side.told_classes import ToldClasses
from fedbrain.deploy.site_side.worker import Worker


class Described:
    """The tables of a job.

    Args:
      worker: of the first split; its questions are counted there.
      scans: all of the site's.
      told: tables of all jobs of the site.
      run: name of the run's folder.
      of: column, or "target" -> what the site's own files call it.
    """

    def __init__(
        self, worker: Worker, scans: Scans, *, told: ToldClasses, run: str, of: Mapping[str, str]
    ):
        self.worker, self.scans = worker, scans
        self.told, self.run, self.of = told, run, of
        if worker.experiment.describe:
            worker.kinds |= {"describe": self._tell}

    def _tell(self, message: Message) -> bytes:
        worker, columns = self.worker, self.worker.experiment.describe
        asked = require_no_vectors(message)
        require_terms(worker.terms, asked, "describe")
        worker.questions.admit(message)
        numbers = described_numbers(columns, self.told.tell(self.run, self.scans, columns, self.of))
        return write_numbers(worker.terms, asked, worker.name, "described", numbers)
