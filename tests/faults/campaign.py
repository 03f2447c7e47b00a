"""One long run of an in-memory consortium in which every exchange of messages, or the disk beneath
it, is hit by a fault.

The reference is the same run undisturbed: the model that is sent out for every round. After each
fault the next model must have the same bits, or else nothing went on at all, with a sentence that
says why.
"""

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from fedbrain.deploy.protocol.wire import Refused, unpack
from tests.faults import machines, messages
from tests.faults.in_memory import LIMIT, Consortium

STATEFUL = {
    "algorithm": "scaffold()",
    "sharing": "without_batch_norm()",
}  # private leaves and control variates
TRAINING = {
    "a site dies in mid-epoch",
    "dies before a checkpoint",
    "dies in mid-save",
    *machines.AT_SERVER,
    *machines.ROT,
}


class Injection(NamedTuple):
    """One fault, and what came of it."""

    kind: str
    detected: str  # the sentence about it; empty when nothing was said
    exact: bool  # the next model had the bits of the undisturbed run


def model_of(question: bytes) -> tuple[int, str] | None:
    """(round, hash of its numbers) of a question that carries a model."""
    message = unpack(question, limit=LIMIT)
    if message.envelope.kind != "model":
        return None
    numbers = b"".join(v.tobytes() for _, v in sorted(message.vectors.items()))
    return message.envelope.round, hashlib.sha256(numbers).hexdigest()


class Campaign:
    """A run, its reference, and a list of faults to go through."""

    def __init__(
        self,
        folder: Path,
        kinds: list[str],
        *,
        rounds: int,
        scans: Path | None = None,
        seed: int = 0,
    ):
        self.rng, self.left, self.done = Random(seed), list(kinds), []
        self.rng.shuffle(self.left)
        self.waiting: list[tuple[str, str]] = []  # (kind, sentence) until the next model is seen
        self.server = (
            contextlib.ExitStack()
        )  # what is broken at the server, until its next question
        self.past, self.reference = messages.Past([], []), {}
        cache = scans or folder / "cache"  # of prepared scans
        plain = Consortium(cache, folder / "plain", rounds=rounds, **STATEFUL)
        plain.run(lambda asked, deadline_s: self._noting(plain, asked))
        self.sites = Consortium(cache, folder / "hit", rounds=rounds, **STATEFUL)

    def _noting(
        self, consortium: Consortium, asked: Mapping[str, bytes]
    ) -> Iterator[tuple[str, bytes]]:
        model = model_of(next(iter(asked.values())))
        if model is not None:
            self.reference[model[0]] = model[1]
        yield from consortium.transport(asked)

    def run(self) -> list[Injection]:
        """Goes on until every fault was injected and the run is over."""
        for _ in range(10 * len(self.left) + 20):
            try:
                self.sites.run(self.transport)
                self._judge(exact=True)
                if self.left:
                    raise RuntimeError(f"the run is too short; not injected: {self.left}")
                return self.done
            except (ValueError, OSError, machines.Died) as error:
                self.server.close()
                self._hear(str(error) or "died")
                self._rot()
        raise RuntimeError(
            f"the run does not come to its end; faults that are not over: {self.waiting}"
        )

    def _rot(self) -> None:
        """Damages what a dead process left; what a site cannot repair comes back from its backup
        after it has said so.
        """
        kind = next((kind for kind, _ in self.waiting if kind in machines.ROT), "")
        if not kind:
            return
        folder = self.sites.folder / machines.ROT[kind]
        steps = sorted((folder / "steps").iterdir(), key=lambda path: int(path.name))
        if self._backup().exists():
            shutil.rmtree(folder)
            self._backup().rename(folder)
            self.sites.workers.pop("birch", None)
        elif "site" not in kind:
            machines.rot(self.rng, steps[-1])
        elif len(steps) > 1:  # the newest is of the round under way, which is trained again anyway
            self.sites.workers.pop("birch").close()
            shutil.copytree(folder, self._backup())
            self.waiting = [(k, "") for k, _ in self.waiting]
            machines.rot(self.rng, steps[-2])

    def _backup(self) -> Path:
        return self.sites.folder / "birch/backup"

    def transport(self, asked: Mapping[str, bytes], deadline_s: int) -> list[tuple[str, bytes]]:
        """Answers, one of them broken at half of the calls, so that failures can be repeated."""
        del deadline_s
        model = model_of(next(iter(asked.values())))
        if model is not None:
            self._judge(exact=self.reference.get(model[0]) == model[1])
        self.server.close()
        kind = self._next(training=model is None) if self.rng.random() < 0.5 else ""
        victim, answers = self.rng.choice(sorted(asked)), []
        for name in sorted(asked):
            hit = (
                machines.FAULTS[kind](self.rng)
                if kind in machines.FAULTS and name == victim
                else contextlib.nullcontext()
            )
            question = asked[name]
            if name == victim and kind in messages.QUESTIONS:
                question = messages.QUESTIONS[kind](self.rng, self.past, question)
            answers += self._answer(name, question, hit)
        if kind in messages.FAULTS:
            answers = self._break(kind, victim, answers)
        if kind:
            self.waiting.append((kind, ""))
        self.past.answers.extend((name, data) for name, data in answers if name in asked)
        self.past.questions.append(next(iter(asked.values())))
        del self.past.answers[:-40], self.past.questions[:-8]
        return self._deliver(kind, answers, len(self.sites.told))

    def _next(self, *, training: bool) -> str:
        """The next kind that fits the question."""
        fits = [k for k in self.left if training or k not in TRAINING]
        if fits:
            self.left.remove(fits[0])
        return fits[0] if fits else ""

    def _answer(
        self, name: str, question: bytes, hit: contextlib.AbstractContextManager
    ) -> list[tuple[str, bytes]]:
        try:
            with hit:
                return [(name, self.sites.worker(name).receive(question))]
        except (
            machines.Died,
            OSError,
            Refused,
        ) as error:  # the process is gone; the next question meets a new one
            self.sites.workers.pop(name, None)
            self.sites.told.append(f"{name}: {error or 'died'}")
            return []

    def _break(self, kind: str, victim: str, answers: list) -> list:
        out, late = [], []
        for name, data in answers:
            sent = (
                messages.FAULTS[kind](self.rng, self.past, name, data)
                if name == victim
                else [(name, data)]
            )
            (late if ("", b"") in sent else out).extend(pair for pair in sent if pair[0])
        return out + late

    def _deliver(self, kind: str, answers: list, said: int) -> Iterator[tuple[str, bytes]]:
        if kind in machines.ROT:
            raise machines.Died
        yield from answers
        if kind in machines.AT_SERVER:
            self.server.enter_context(machines.AT_SERVER[kind](self.rng))
        for sentence in self.sites.told[said:]:
            self._hear(sentence)

    def _hear(self, sentence: str) -> None:
        self.waiting = [(kind, told or sentence) for kind, told in self.waiting]

    def _judge(self, *, exact: bool) -> None:
        if not self._backup().exists():  # a site waits for its backup
            self.done += [Injection(kind, told, exact) for kind, told in self.waiting]
            self.waiting = []


def campaign(folder: Path, count: int, *, seed: int = 0) -> list[Injection]:
    """At least `count` faults, of every kind about as many."""
    logging.getLogger("fedbrain").setLevel(logging.ERROR)
    table = [
        *messages.FAULTS,
        *messages.QUESTIONS,
        *machines.FAULTS,
        *machines.AT_SERVER,
        *machines.ROT,
    ]
    kinds = [table[k % len(table)] for k in range(max(count, len(table)))]
    return Campaign(folder, kinds, rounds=len(kinds) + 3, seed=seed).run()
