"""oneDNN's C functions by `ctypes`: memories, layouts and primitives.

Numbers are those of dnnl_types.h, version 3.2.

References:
  https://uxlfoundation.github.io/oneDNN/group_dnnl_api.html
"""

import ctypes
import importlib.metadata
from collections.abc import Sequence
from ctypes import c_int, c_int64, c_size_t, c_void_p
from functools import cache

import numpy as np

PACKAGE, LIBRARY = "onednn-cpu-gomp", "libdnnl.so.3"
CPU, IN_ORDER = 1, 1  # kind of engine, kind of stream
ANY = 1  # layout that the library chooses
USER = 1  # mode of temporaries: the caller's
UNIMPLEMENTED = 3  # status
SOURCE, TARGET, WEIGHTS, SCRATCH, GRADIENT = 1, 17, 33, 80, 128  # roles of a primitive's arguments
QUERY_SCRATCH = 136


class Refused(Exception):
    """The library has no kernel for this processor and type, or failed."""


@cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it is not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
        path = next(file.locate() for file in files if file.name == LIBRARY)
        return ctypes.CDLL(str(path))
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError):
        return None


def run(name: str, *arguments) -> None:
    """Calls a function of the library.

    Raises:
      Refused: when it reports a failure.
    """
    status = getattr(library(), name)(*arguments)
    if status:
        raise Refused(
            f"{name} of oneDNN answered"
            f" {status}{' (unimplemented)' if status == UNIMPLEMENTED else ''}."
        )


def create(name: str, *arguments) -> c_void_p:
    """Calls a function of the library that creates an object, and returns the object."""
    handle = c_void_p()
    run(name, ctypes.byref(handle), *arguments)
    return handle


def size_and_layout(primitive: c_void_p, query: int) -> tuple[int, c_void_p]:
    """(bytes, layout) of an array that a primitive works with."""
    lib = library()
    assert lib
    lib.dnnl_primitive_desc_query_md.restype = c_void_p
    lib.dnnl_memory_desc_get_size.restype = c_size_t
    layout = c_void_p(lib.dnnl_primitive_desc_query_md(primitive, query, 0))
    return int(lib.dnnl_memory_desc_get_size(layout)), layout


def dims(values: Sequence[int]) -> ctypes.Array:
    """Numbers, one an axis."""
    return (c_int64 * 12)(*values)  # DNNL_MAX_NDIMS


@cache
def engine() -> c_void_p:
    """The CPU."""
    return create("dnnl_engine_create", CPU, c_size_t(0))


@cache
def stream() -> c_void_p:
    """The queue of the CPU."""
    return create("dnnl_stream_create", engine(), IN_ORDER)


@cache
def caller_scratch() -> c_void_p:
    """The attribute that temporaries are the caller's.

    The library's own belong to the thread that made a primitive, and XLA calls from others.
    """
    attributes = create("dnnl_primitive_attr_create")
    run("dnnl_primitive_attr_set_scratchpad_mode", attributes, USER)
    return attributes


def permuted_layout(shape: Sequence[int], order: Sequence[int], dtype: int) -> c_void_p:
    """Layout of a row-major array whose axes the library expects in another order."""
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    sizes, steps = (dims([int(v[axis]) for axis in order]) for v in (shape, strides))
    return create("dnnl_memory_desc_create_with_strides", len(order), sizes, dtype, steps)


def memory(layout: c_void_p) -> c_void_p:
    """A memory without an address."""
    return create("dnnl_memory_create", layout, engine(), None)


def set_address(memory: c_void_p, address: int) -> None:
    """Points a memory to an array."""
    run("dnnl_memory_set_data_handle", memory, c_void_p(address))


class _Argument(ctypes.Structure):
    _fields_ = (("role", c_int), ("memory", c_void_p))


class Primitive:
    """A kernel of the library, its memories and its temporaries.

    Args:
      description: of the kernel.
      memories: role -> memory.
    """

    def __init__(self, description: c_void_p, memories: dict[int, c_void_p]):
        self.primitive = create("dnnl_primitive_create", description)
        self.scratch_bytes, layout = size_and_layout(description, QUERY_SCRATCH)
        self.scratch = memory(layout)
        pairs = [(r, m.value) for r, m in {**memories, SCRATCH: self.scratch}.items()]
        self.arguments = (_Argument * len(pairs))(*(_Argument(*pair) for pair in pairs))

    def run(self, scratch: int) -> None:
        """Runs the kernel, with temporaries at an address."""
        set_address(self.scratch, scratch)
        run("dnnl_primitive_execute", self.primitive, stream(), len(self.arguments), self.arguments)
        run("dnnl_stream_wait", stream())
