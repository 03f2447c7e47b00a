"""The budget of questions of an experiment, in a file, so that a restart forgets none.

    in order   model 0, then models of later rounds; an order to train on a model that was sent
    once       a round has one model, one order and the same ones when it is asked again; one report
    in all     rounds + 1 models, as many orders, one to train alone, a report, those beside the
               rounds (see `beside`); and REPEATS times as many messages

So a server learns of a site what the agreement gives, one sum a round, and nothing by asking more.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.masked import KEYS
from fedbrain.deploy.protocol.wire import Message, Refused, pack, unpack
from fedbrain.experiments.workdir import write_json

REPEATS = 10  # a question may be asked again after losses; arbitrary
NONCE = 64  # characters at most
# of models: they differ when the same is asked again; of an order: hashed by itself
NOT_ASKED = ("best_round", "best_loss", "learning_rate_scale")


def digest(message: Message) -> str:
    """SHA-256 of what a question asks: its numbers, and the learning rate of an order or a
    regression.

    Args:
      message: that was read. Nonce and best round differ when the same is asked again.
    """
    envelope, vectors = message
    hashed = hashlib.sha256(repr(envelope.scalars.get("learning_rate_scale")).encode())
    told = {k: v for k, v in envelope.scalars.items() if k not in NOT_ASKED}
    hashed.update(repr(sorted(told.items())).encode() if told else b"")
    for name, vector in sorted(vectors.items()):
        if name == KEYS:  # another attempt of the same round has others
            continue
        hashed.update(name.encode())
        hashed.update(vector.tobytes())
    return hashed.hexdigest()


class Questions:
    """What was asked of a site in one experiment, and the answers that were given.

    Args:
      folder: of this site and run.
      rounds: of the experiment.
      keep: answers to orders that are kept, each as large as the model.
      beside: kind of a question beside the rounds -> how many there are.

    Raises:
      ValueError: when the file is damaged.
    """

    def __init__(
        self, folder: Path, *, rounds: int, keep: int, beside: Mapping[str, int] | None = None
    ):
        self.folder, self.path = folder / "answers", folder / "questions.json"
        self.rounds, self.keep, self.beside = rounds, keep, dict(beside or {})
        self.asked: dict[str, Any] = {"kinds": {}, "nonces": {}, "messages": 0}
        if self.path.is_file():
            try:
                self.asked = json.loads(self.path.read_text(encoding="utf-8"))
            except ValueError:
                raise ValueError(
                    f"{self.path}: expected the questions that this site was asked, got a damaged"
                    " file. Restore it from your backup, or begin another experiment."
                ) from None

    @property
    def last_round(self) -> int:
        """Of the last model that was sent; -1 before the first one."""
        return max(map(int, self.asked["kinds"].get("model", {})), default=-1)

    def admit(self, message: Message) -> None:
        """Records a question, before it is answered.

        Args:
          message: that belongs to the experiment.

        Raises:
          Refused: when it is out of order, another one for a round that had one, or one too many.
        """
        envelope, wanted = message.envelope, digest(message)
        self._require_unused(message, wanted)
        kinds = self.asked["kinds"]
        known = kinds.get(envelope.kind, {})
        before = known.get(str(envelope.round))
        if before is None:
            self._require_order(message, wanted)
        elif before != wanted:
            raise Refused(
                f"expected the {envelope.kind} question of round {envelope.round} that was asked"
                " before, got another one: a round has one"
            )
        most = REPEATS * (2 * self.rounds + 3 + sum(self.beside.values()))
        if self.asked["messages"] >= most:
            raise Refused(f"expected at most {most} questions in this experiment, got one more")
        nonces = {**self.asked["nonces"], envelope.nonce: _name(message, wanted)}
        kinds = {**kinds, envelope.kind: {**known, str(envelope.round): wanted}}
        self.asked = {"kinds": kinds, "nonces": nonces, "messages": self.asked["messages"] + 1}
        write_json(self.path, self.asked)

    def _require_unused(self, message: Message, wanted: str) -> None:
        nonce = message.envelope.nonce
        if len(nonce) > NONCE:
            raise Refused(f"nonce: expected at most {NONCE} characters, got {len(nonce)}")
        if self.asked["nonces"].get(nonce, _name(message, wanted)) != _name(message, wanted):
            raise Refused("nonce: expected one of its own, got that of another question")

    def _require_order(self, message: Message, wanted: str) -> None:
        """A question that is new follows from those before it."""
        kind, round = message.envelope.kind, message.envelope.round
        models, reports = (self.asked["kinds"].get(name, {}) for name in ("model", "report"))
        last = {"train": self.rounds - 1, "alone": 0}.get(kind, self.rounds)
        last = self.beside[kind] - 1 if kind in self.beside else last
        if not 0 <= round <= last:
            raise Refused(f"round: expected one from 0 to {last}, got {round}")
        if reports:
            raise Refused("expected no new question after the report, which ends an experiment")
        if kind in ("train", "alone") and str(round) not in models:
            raise Refused(f"expected the model of round {round} before the order to train on it")
        if kind == "fit" and str(round) not in self.asked["kinds"].get("sums", {}):
            raise Refused(f"expected the sums of regression {round} to be asked before it came")
        before = {"spread": "means", "shift": "spread"}.get(kind)
        if before == "means" and not self.asked["kinds"].get(before):
            raise Refused("expected sums of voxels to be asked before squares")
        if kind in ("lend", "try") and "0" not in self.asked["kinds"].get("alone", {}):
            raise Refused("expected the order to train alone before models are lent")
        if kind == "report" and models.get(str(round), wanted) != wanted:
            raise Refused(f"expected the model of round {round} to be tested, got another one")
        if kind == "model" and self.last_round < 0 and round > 0:
            raise Refused(
                f"expected the model of round 0, which follows from the job, got that of round"
                f" {round}: this site has not seen where it comes from"
            )
        if kind == "model" and round < self.last_round:
            raise Refused(
                f"round: expected one after {self.last_round}, got the model of round {round} out"
                " of its turn"
            )

    def keep_answer(self, message: Message, answer: bytes) -> None:
        """Keeps an answer, so that the same question gets the same bits.

        Args:
          message: the question.
          answer: the bytes.
        """
        self.folder.mkdir(exist_ok=True)
        path = self._file(message)
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(answer)
        temporary.replace(path)
        if message.envelope.kind == "train":
            older = self.folder.glob("train-*.bin")
            for path in sorted(older, key=lambda p: int(p.stem.split("-")[1]))[: -self.keep]:
                path.unlink()

    def answer(self, message: Message, *, limit: int) -> bytes | None:
        """The answer that was kept, under the question's nonce; None when there is none.

        Args:
          message: a question that was admitted.
          limit: the most bytes of a message.
        """
        path = self._file(message)
        if not path.is_file():
            return None
        try:
            envelope, vectors = unpack(path.read_bytes(), limit=limit)
        except Refused:  # damaged on the disk: it is computed anew
            return None
        return pack(envelope._replace(nonce=message.envelope.nonce), vectors)

    def _file(self, message: Message) -> Path:
        return self.folder / f"{message.envelope.kind}-{message.envelope.round}.bin"


def _name(message: Message, wanted: str) -> str:
    return f"{message.envelope.kind} {message.envelope.round} {wanted[:16]}"
