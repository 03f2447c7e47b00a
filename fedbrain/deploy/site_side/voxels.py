"""A site tells sums of voxels before the first round, where its `site.toml` opens them, and takes
its own shift out of its images. The shift stays at the site.
"""

import io
from pathlib import Path

import numpy as np

from fedbrain.data.shifted import shifted
from fedbrain.data.splits import Split
from fedbrain.data.voxel_combat import Common, Kept, Told, shift, squares, tell, values_of
from fedbrain.data.whole_file import write_whole
from fedbrain.deploy.protocol.voxels import ANSWERS, read_voxels, write_voxels
from fedbrain.deploy.protocol.wire import Message, Refused
from fedbrain.deploy.site_side.linear_floors import minorities
from fedbrain.deploy.site_side.told_people import ToldPeople
from fedbrain.deploy.site_side.worker import Worker


class Shift:
    """What this site takes from every voxel of a split's images, in a file.

    Args:
      folder: of the split, at this site.
    """

    def __init__(self, folder: Path):
        self.path = folder / "shift.npy"
        self.kept: np.ndarray | None = None

    def read(self) -> np.ndarray:
        """The shift, flat; before it is known NaN, so that nothing is computed by mistake."""
        if self.kept is None and self.path.is_file():
            self.kept = np.load(self.path, allow_pickle=False)
        return np.asarray(np.float32(np.nan)) if self.kept is None else self.kept

    def require(self, kind: str) -> None:
        """Refuses a question about images before the shift is known.

        Args:
          kind: of the question.

        Raises:
          Refused: for such a question.
        """
        if kind not in ANSWERS and np.isnan(self.read()).any():
            raise Refused(
                "config.harmonise: expected the sums of all sites before images are used, got"
                " none: this site was not there before the first round. Start the job again"
            )

    def write(self, found: np.ndarray) -> None:
        """Keeps the shift.

        Args:
          found: flat.
        """
        written = io.BytesIO()
        np.save(written, found, allow_pickle=False)
        write_whole(self.path, written.getvalue())
        self.kept = found


def seen(split: Split, kept: Kept | None, found: Shift) -> Split:
    """A split as the network sees it.

    Args:
      split: the site's scans.
      kept: of the job; None: nothing is harmonised.
      found: the site's shift.
    """
    return split if kept is None else shifted(split, found.read)


def require_tellable(kept: Kept | None, name: str, split: Split, before: ToldPeople) -> None:
    """Refuses sums of voxels that would be of few people; nothing without harmonisation.

    Args:
      kept: columns whose effect is kept.
      name: of the site.
      split: its scans.
      before: of whom sums were told, and of how few a sum may tell.

    Raises:
      Refused: for a column that is the same for all but a few people.
      ValueError: for a column that is not known of everybody.
    """
    if kept is None:
        return
    before.require(split.train.subjects)
    fewest, values = before.fewest, values_of(name, split.train, kept)
    for column, of_column in zip(kept.columns, values.T):
        if min(minorities(of_column, split.train.subjects), default=fewest) < fewest:
            raise Refused(
                f"config.harmonise: expected at least {fewest} people, or none, whose {column!r} is"
                " not the most frequent value, got fewer: a sum of their voxels would be told"
            )


class Voxels:
    """The sums of one split of a job.

    Args:
      worker: of the split; its questions are counted there.
      split: the site's scans, as they are prepared.
      kept: of the job.
      found: where the site's shift goes.
      before: of whom sums were told.
    """

    def __init__(self, worker: Worker, split: Split, kept: Kept, found: Shift, before: ToldPeople):
        self.worker, self.found, self.before = worker, found, before
        self.people = split.train.subjects
        self.volumes = split.train.volumes
        self.x = values_of(worker.name, split.train, kept)
        answers = {"means": self._means, "spread": self._spread, "shift": self._shift}
        worker.kinds |= answers
        worker.require_ready = found.require
        worker.questions.beside |= dict.fromkeys(answers, 1)

    def _read(self, message: Message) -> dict[str, np.ndarray]:
        vectors = dict(read_voxels(self.worker.terms, self.worker.experiment, message))
        self.worker.questions.admit(message)
        return vectors

    def _told(self) -> Told:
        return tell(self.volumes, self.x)

    def _answer(self, message: Message, vectors: dict[str, np.ndarray]) -> bytes:
        terms, experiment = self.worker.terms, self.worker.experiment
        kind, nonce = ANSWERS[message.envelope.kind], message.envelope.nonce
        return write_voxels(terms, experiment, kind, vectors, nonce=nonce, sender=self.worker.name)

    def _means(self, message: Message) -> bytes:
        self._read(message)
        self.before.add(self.people)
        return self._answer(message, self._told()._asdict())

    def _spread(self, message: Message) -> bytes:
        common = Common(**self._read(message))
        told = squares(self.volumes, self.x, self._told(), common)
        return self._answer(message, {"squares": told})

    def _shift(self, message: Message) -> bytes:
        told = self._read(message)
        common = Common(told["height"], told["slopes"])
        self.found.write(shift(self._told(), common, told["sigma"]))
        return self._answer(message, {})
