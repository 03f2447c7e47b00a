"""A site in a job with several splits: a worker for each, and what comes of all of them."""

from collections.abc import Mapping, Sequence

from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.deploy.site_side.private_people import PrivatePeople
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.config import Experiment


def share_programs(first: Worker, other: Worker) -> None:
    """Gives a worker what is compiled for another one of the same job.

    Args:
      first: who gives.
      other: who takes.
    """
    other.train, other.evaluate = first.train, first.evaluate
    other.tester.evaluate, other.tester.run_round = first.tester.evaluate, first.tester.run_round


class SplitWorkers:
    """Hands every message to the worker of its split.

    Args:
      workers: of all splits, in their order.
      limit: the most bytes of a message.
    """

    def __init__(self, workers: Sequence[Worker], *, limit: int):
        self.workers = {worker.terms.config: worker for worker in workers}
        self.first, self.limit = workers[0], limit
        for worker in workers[1:]:  # what is compiled for one is compiled for all
            share_programs(self.first, worker)

    @property
    def terms(self) -> Terms:
        """Of the first split."""
        return self.first.terms

    @property
    def experiment(self) -> Experiment:
        """Of all splits."""
        return self.first.experiment

    @property
    def people(self) -> PrivatePeople:
        """Of the first split: in a job with several splits nothing is told under noise."""
        return self.first.people

    def receive(self, data: Data) -> bytes:
        """Answers a message of the server.

        Args:
          data: the bytes of the message.

        Raises:
          Refused: saying why there is no answer.
        """
        config = unpack(data, limit=self.limit).envelope.config
        if config not in self.workers:
            raise Refused(f"config: expected that of a split of this job, got {config!r}"[:200])
        return self.workers[config].receive(data)

    @property
    def last_round(self) -> int:
        """Of the last model that the server sent, in any split; -1 before the first one."""
        return max(worker.last_round for worker in self.workers.values())

    @property
    def rounds(self) -> Mapping[str, int]:
        """Split -> round of the last model that the server sent; -1 before the first one."""
        of_all = self.workers.values()
        return {worker.agreement.split_id.name: worker.last_round for worker in of_all}

    def stopped(self) -> None:
        """The job was stopped in order: nobody died."""
        for worker in self.workers.values():
            worker.stopped()

    def close(self) -> None:
        """Waits until the private state is safe."""
        for worker in self.workers.values():
            worker.close()
