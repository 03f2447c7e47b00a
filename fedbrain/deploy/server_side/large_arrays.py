"""Arrays of a round: in memory, or, where a cohort is too large for it, in a file without a name.

A cohort is as many models as sites: 200 sites with 11 million coordinates are 9 GB, twice while
answers are put into one matrix. What lies in a file leaves memory whenever other things need it;
the numbers are the same. The file is gone when nobody uses the array, also when the process dies.
"""

import mmap
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.memory import free_bytes
from fedbrain.deploy.protocol.wire import Message

SHARE = 0.5  # of the free memory that a round may take; arbitrary
CACHE_LINE = 64  # bytes; jax takes arrays that begin at such a place as they are, without a copy
SMALL = 2**20  # bytes of a vector that stays in memory in any case; a file takes a descriptor


class Arrays(NamedTuple):
    """Where the arrays of one round lie."""

    folder: Path | None = None  # of the files; None: in memory

    def empty(self, rows: int, columns: int) -> Float[np.ndarray, "rows columns"]:
        """A matrix to be filled. In memory a row takes space when it is written to.

        Raises:
          ValueError: when the disk has no room for it.
        """
        size = 4 * rows * columns
        if self.folder is None or size == 0:
            whole = np.empty(size + CACHE_LINE, np.uint8)
            start = -whole.ctypes.data % CACHE_LINE
            return whole[start : start + size].view(np.float32).reshape(rows, columns)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise ValueError(
                    f"{self.folder}: expected room for the {rows} updates of a round,"
                    f" {size / 1e9:.1f} GB, got none ({error.strerror}). Free space, or give the"
                    " server more memory."
                ) from None
            return np.frombuffer(mmap.mmap(file.fileno(), size), np.float32).reshape(rows, columns)

    def keep(self, answer: Message) -> Message:
        """An answer whose large vectors lie where the round's arrays do.

        Args:
          answer: that passed the gate.
        """
        if self.folder is None:
            return answer
        kept = {}
        for name, vector in answer.vectors.items():
            kept[name] = vector
            if vector.dtype == np.float32 and vector.nbytes > SMALL:
                kept[name] = self.empty(1, vector.size)[0]
                kept[name][:] = vector
        return answer._replace(vectors=kept)


IN_MEMORY = Arrays()


def arrays_of(folder: Path, sites: int, numbers: int) -> Arrays:
    """Where a round belongs.

    Args:
      folder: for files.
      sites: that are asked.
      numbers: of one update.

    >>> arrays_of(Path("."), 3, 1000).folder is None
    True
    """
    wanted = 2 * 4 * sites * numbers  # answers, and the matrix made from them
    return Arrays(folder if wanted > SHARE * free_bytes() else None)
