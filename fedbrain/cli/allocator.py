"""Memory that a process has once had stays with it, where the C library is glibc.

A training step allocates hundreds of MB and frees them again. By default glibc gives such blocks
back to the system, which fills new ones with zeros for the next step (0.2 s of processor time in a
step of DenseNet-121 at 64^3), and on a virtual machine asks the host for them anew. What
compiling leaves, 0.3 GB for that step, steps have no use for: it is given back.

References:
  mallopt(3) of the Linux manual
"""

import ctypes
import os
import platform
from functools import cache

# parameters of mallopt, in malloc.h
FAST_CHUNKS, TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = 1, -1, -4, -8
KEEP = {
    TRIM_THRESHOLD: 2**31 - 1,  # bytes at the end of the heap from which on they are given back
    MMAP_MAX: 0,  # no block of its own, which is given back when it is freed
    ARENA_MAX: 1,  # one heap for all threads: others have no room for large blocks
    # bytes up to which a freed chunk stays apart from its neighbours: with glibc's own number a
    # step's largest block did not fit where it had lain, after some steps
    FAST_CHUNKS: 0,
}
COMPILED = "/jax/core/compile/backend_compile_duration"  # event of JAX
LONG_S = 1.0  # seconds of compiling, or of loading, from which on there is something to give back


def is_set_by_user() -> bool:
    """Whether the environment has settings of the allocator."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc" in tunables or any(name.startswith("MALLOC_") for name in os.environ)


def keep_memory() -> bool:
    """Keeps freed memory, and says whether it does: not under another C library, and not against
    the settings of a user.
    """
    if platform.libc_ver()[0] != "glibc" or is_set_by_user():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(name, value) for name, value in KEEP.items()])


@cache
def give_back_after_compiling() -> None:
    """Gives the system what compiling a program has left, whenever one was compiled or loaded."""
    from jax import monitoring

    trim = ctypes.CDLL(None).malloc_trim

    def compiled(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED and duration_secs > LONG_S:
            trim(0)

    monitoring.register_event_duration_secs_listener(compiled)
