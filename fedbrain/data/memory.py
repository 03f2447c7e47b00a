"""How many scans may be in memory at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

from fedbrain.data.nifti_file import ImageError, read_outline, sentence

# Copies while an image is turned, masked and resampled; measured on 512^3: 10 to 18 with the file.
BYTES_PER_VOXEL = 18
SHARE = 0.8  # of the memory that is free; arbitrary: others use the machine too
CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """Memory that this process may still take."""
    free = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass  # not Linux: all memory counts as free
    try:
        limit, used = ((CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        free.append(int(limit) - int(used))
    except (OSError, ValueError):
        pass  # no container, or one without a limit
    return max(0, min(free))


def needed_bytes(paths: list[Path]) -> int:
    """Memory for reading and preparing images together; raises ImageError for a bad header."""
    total = 0
    for path in paths:
        try:
            outline = read_outline(path)
        except Exception as error:  # a damaged file can raise anything
            raise ImageError(sentence(path, error)) from None
        total += outline.needed_bytes + BYTES_PER_VOXEL * outline.voxels
    return total


class Memory:
    """A budget that scans in preparation share."""

    def __init__(self, budget_bytes: int):
        self.budget_bytes, self.held_bytes, self.changed = budget_bytes, 0, Condition()

    @contextmanager
    def hold(self, name: Path, wanted_bytes: int) -> Iterator[None]:
        """Waits until the memory is free; raises ImageError when it can never be."""
        if wanted_bytes > self.budget_bytes:
            raise ImageError(
                f"{name}: expected an image that fits the memory, got one that needs"
                f" {wanted_bytes / 2**30:.1f} GiB of {self.budget_bytes / 2**30:.1f} GiB."
            )
        with self.changed:
            self.changed.wait_for(lambda: self.held_bytes + wanted_bytes <= self.budget_bytes)
            self.held_bytes += wanted_bytes
        try:
            yield
        finally:
            with self.changed:
                self.held_bytes -= wanted_bytes
                self.changed.notify_all()
