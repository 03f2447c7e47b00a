"""Ends all processes of a run when one of them ends, is stopped or is silent.

Each process writes a beat into the store of the coordinator (process 0) and reads the beats of the
others. One that leaves before the end says why; one that was killed is missed. Then every process
stops at its next batch or, when it waits for another one, at once. The last thing that process 0
does is to finish the checkpoint that is being saved.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

BEAT_S = 0.3  # between two beats
SILENT_S = float(os.environ.get("FEDBRAIN_SILENT_S", "60"))  # without a beat: dead. Arbitrary
WAIT_S = float(os.environ.get("FEDBRAIN_WAIT_S", "7200"))  # for the slowest client. Arbitrary
GRACE_S = 60.0  # until a process that computes is ended, when another one has ended: arbitrary
LINGER_S = 5.0  # that process 0 waits until the others have read why it leaves
REQUEUE = 75  # exit code: run the same command again (EX_TEMPFAIL of sysexits.h)
AGAIN = "The same command goes on from the last checkpoint."


class Verdict(NamedTuple):
    """Why the run ends."""

    sentence: str
    code: int  # of the exit


class Lost(ValueError):
    """Another process of the run has ended."""


class Watch:
    """The watch of one process; it begins at once.

    Args:
      store: with `set(key, text)` and `read()`, key -> text.
      index: of this process.
      count: of processes.
      stop: asks this process to stop at its next batch.
    """

    def __init__(self, store: Any, index: int, count: int, stop: Callable[[], None]):
        self.store, self.index, self.count, self.stop = store, index, count, stop
        self.at_end: list[Callable[[], None]] = []
        self.verdict: Verdict | None = None
        self.lock, self.over = threading.RLock(), threading.Event()
        self.waiting_since: float | None = None
        now = time.monotonic()
        self.contact, self.texts = now, dict[str, str]()
        self.beats = {k: ("", now) for k in range(count) if k != index}
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._talk, self._judge)]
        for thread in self.threads:
            thread.start()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While this process waits for others it may be ended at any moment."""
        with self.lock:
            self.waiting_since = time.monotonic()
        try:
            yield
        finally:
            with self.lock:
                self.waiting_since = None

    def reason(self) -> Verdict:
        """Why a process that was waited for has gone; asked when it has."""
        deadline = time.monotonic() + 10 * BEAT_S
        while self.verdict is None and time.monotonic() < deadline:
            time.sleep(BEAT_S / 3)
        return self.verdict or Verdict(f"Another process was killed. {AGAIN}", REQUEUE)

    def tell(self, verdict: Verdict) -> None:
        """Says why this process leaves; process 0 waits a moment until the others have read it."""
        text = json.dumps(verdict)
        saying = threading.Thread(target=self._say, args=(text,), daemon=True)
        saying.start()
        saying.join(LINGER_S)  # the store may be gone, or hang
        deadline = time.monotonic() + (0 if self.index else LINGER_S)
        while time.monotonic() < deadline and not self._all_ended():
            time.sleep(BEAT_S)

    def _say(self, text: str) -> None:
        with suppress(Exception):
            self.store.set(f"ended/{self.index}", text)

    def _all_ended(self) -> bool:
        return all(f"ended/{k}" in self.texts for k in self.beats)

    def close(self) -> None:
        """Ends the watch: the run is over."""
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _talk(self) -> None:
        number = 0
        while not self.over.wait(BEAT_S):
            number += 1
            try:
                self.store.set(f"beat/{self.index}", str(number))
                self.texts, self.contact = self.store.read(), time.monotonic()
            except Exception:  # process 0 is gone or silent: `_judge` sees the age of the contact
                continue

    def _judge(self) -> None:
        since = 0.0
        while not self.over.wait(BEAT_S):
            if self.verdict is None:
                self.verdict, since = self._find(time.monotonic()), time.monotonic()
            if self.verdict is None:
                continue
            self.stop()
            with self.lock:
                if self.waiting_since is not None or time.monotonic() - since > GRACE_S:
                    self._end(self.verdict)

    def _find(self, now: float) -> Verdict | None:
        for k in self.beats:
            text = self.texts.get(f"ended/{k}")
            if text is not None:
                sentence, code = json.loads(text)
                return Verdict(f"Process {k}: {sentence}", code)
            beat = self.texts.get(f"beat/{k}", "")
            if beat != self.beats[k][0]:
                self.beats[k] = beat, now
        silent = [k for k, (_, since) in self.beats.items() if now - since > SILENT_S]
        if now - self.contact > SILENT_S:
            silent = [0]
        if silent:
            who = ", ".join(map(str, silent))
            return Verdict(f"Process {who} has been silent for {SILENT_S:.0f} s. {AGAIN}", REQUEUE)
        if self.waiting_since is not None and now - self.waiting_since > WAIT_S:
            sentence = f"Process {self.index} has waited for another one for {WAIT_S:.0f} s"
            return Verdict(f"{sentence} (FEDBRAIN_WAIT_S). {AGAIN}", REQUEUE)
        return None

    def _end(self, verdict: Verdict) -> None:
        if self.waiting_since is not None:  # the main thread is not in the middle of a save
            for finish in self.at_end:
                with suppress(Exception):
                    finish()
        print(f"\nfedbrain: {verdict.sentence}", file=sys.stderr)
        self.tell(verdict)
        leave(verdict.code)


def leave(code: int) -> None:
    """Ends the program without the farewells of libraries, which wait for all processes.

    Args:
      code: of the exit.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


def on_abort(watch: Watch) -> Any:
    """Turns the abort of a process that has lost the coordinator into a sentence and an exit code.

    JAX's client aborts its process the moment the coordinator is gone; Python's own handlers do not
    run then, this one does.

    Args:
      watch: of this process.

    Returns:
      The handler, which must be kept.
    """

    def handle(number: int) -> None:
        del number
        lost = Verdict(f"Process 0 was killed. {AGAIN}", REQUEUE)
        verdict = watch.verdict or lost
        os.write(2, f"\nfedbrain: {verdict.sentence}\n".encode())
        os._exit(verdict.code)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(handle)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    libc.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    return handler
