"""Faults of machines: processes that die, disks that are full, data that change. Each breaks one
site or the server once.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest import mock

from fedbrain.deploy.site_side import worker as site_side
from fedbrain.experiments import checkpoints


class Died(BaseException):
    """Stands for kill -9: nothing of the process is left, no handler runs but what the test itself
    does.
    """


@contextmanager
def disk(number: int, *, after: int) -> Iterator[None]:
    """Everything that this process writes to disk fails after so many writes."""
    left = [after]

    def wall(real: Callable) -> Callable:
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return call

    with (
        mock.patch.object(os, "fsync", wall(os.fsync)),
        mock.patch.object(checkpoints, "write_whole", wall(checkpoints.write_whole)),
        mock.patch.object(checkpoints.Checkpoints, "save", wall(checkpoints.Checkpoints.save)),
    ):
        yield


@contextmanager
def death_in_training(steps: int) -> Iterator[None]:
    """The site dies after some batches."""
    real = site_side.make_client

    def dying(*args, **kwargs):
        client = real(*args, **kwargs)

        def batches():
            for k, batch in enumerate(client.batches):
                if k == steps:
                    raise Died
                yield batch

        return client._replace(batches=batches())

    with mock.patch.object(site_side, "make_client", dying):
        yield


@contextmanager
def death_in_saving(of: str) -> Iterator[None]:
    """The process dies between the checkpoint's files and its manifest, or before the files."""

    where = {"before": "save", "between": "_complete"}[of]
    real = getattr(checkpoints.Checkpoints, where)

    def call(self, *args, **kwargs):
        if of == "before" or self.pending is not None:
            if of == "between":
                self.manager.wait_until_finished()
                self.pending = None
            raise Died
        return real(self, *args, **kwargs)

    with mock.patch.object(checkpoints.Checkpoints, where, call):
        yield


def rot(rng: Random, folder: Path) -> None:
    """One bit of one file of a stored state changes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    if files:
        path = rng.choice(files)
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(data))


FAULTS: dict[str, Callable[[Random], contextlib.AbstractContextManager]] = {
    "a site dies in mid-epoch": lambda rng: death_in_training(rng.randrange(2)),
    "dies before a checkpoint": lambda rng: death_in_saving("before"),
    "dies in mid-save": lambda rng: death_in_saving("between"),
    "disk full": lambda rng: disk(errno.ENOSPC, after=rng.randrange(4)),
    "read-only disk": lambda rng: disk(errno.EROFS, after=0),
}
AT_SERVER: dict[
    str, Callable[[Random], contextlib.AbstractContextManager]
] = {  # after a round's updates came
    "the server dies before a checkpoint": lambda rng: death_in_saving("before"),
    "the server dies in mid-save": lambda rng: death_in_saving("between"),
    "the server's disk is full": lambda rng: disk(errno.ENOSPC, after=rng.randrange(3)),
}
ROT = {
    "the server's checkpoint rots": "server/checkpoints",
    "a site's private state rots": "birch/state",
}
