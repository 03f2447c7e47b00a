"""The three maps by oneDNN, the library of kernels that PyTorch uses on a CPU. Optional: without it
pure JAX takes over.

It comes as the package `onednn-cpu-gomp` (Linux, x86-64). Volumes are read and written where XLA
has them, channels last; kernels are brought into the library's own blocks on every call, which
costs little. Its threads are those of OpenMP (`OMP_NUM_THREADS`), and one call runs at a time.

References:
  https://uxlfoundation.github.io/oneDNN/dev_guide_convolution.html
"""

import ctypes
import importlib.metadata
import threading
from collections.abc import Callable, Sequence
from ctypes import c_int, c_int64, c_size_t, c_void_p
from functools import cache
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from fedbrain.models.convolution import foreign

PACKAGE, LIBRARY = "onednn-cpu-gomp", "libdnnl.so.3"
# dnnl_types.h: layouts, kinds of propagation, algorithm, roles of arguments, queries.
ANY, CPU, IN_ORDER, DIRECT, FORWARD, USER, UNIMPLEMENTED = 1, 1, 1, 1, 64, 1, 3
SOURCE, TARGET, WEIGHTS, SCRATCH, GRADIENT = 1, 17, 33, 80, 128
QUERY_WEIGHTS, QUERY_GRADIENT_OF_WEIGHTS, QUERY_SCRATCH = 131, 132, 136
DTYPES = {
    "float32": (11, 3),
    "bfloat16": (16, 2),
}  # numpy's name -> number in XLA's interface, number in oneDNN


class Call(NamedTuple):
    """What a primitive is made for."""

    map: str  # convolve, spread or correlate
    x: tuple[int, ...]  # [b d h w c]
    kernel: tuple[int, ...]  # [kd kh kw c o]
    y: tuple[int, ...]  # [b i j k o]
    stride: int
    dtype: str


@cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it is not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
        path = next(file.locate() for file in files if file.name == LIBRARY)
        return ctypes.CDLL(str(path))
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError):
        return None


class Refused(Exception):
    """The library has no kernel for this processor and type, or failed."""


def _do(name: str, *arguments) -> None:
    """Calls a function of the library."""
    status = getattr(library(), name)(*arguments)
    if status:
        raise Refused(
            f"{name} of oneDNN answered"
            f" {status}{' (unimplemented)' if status == UNIMPLEMENTED else ''}."
        )


def _ask(name: str, *arguments) -> c_void_p:
    """Calls a function of the library that makes something, and returns what it made."""
    made = c_void_p()
    _do(name, ctypes.byref(made), *arguments)
    return made


def _part(description: c_void_p, query: int) -> tuple[int, c_void_p]:
    """(bytes, layout) of an array that a primitive works with."""
    lib = library()
    assert lib
    lib.dnnl_primitive_desc_query_md.restype, lib.dnnl_memory_desc_get_size.restype = (
        c_void_p,
        c_size_t,
    )
    layout = c_void_p(lib.dnnl_primitive_desc_query_md(description, query, 0))
    return int(lib.dnnl_memory_desc_get_size(layout)), layout


def _numbers(values: Sequence[int]) -> ctypes.Array:
    return (c_int64 * 12)(*values)  # DNNL_MAX_NDIMS


@cache
def _engine() -> tuple[c_void_p, c_void_p]:
    """(engine, stream)."""
    engine = _ask("dnnl_engine_create", CPU, c_size_t(0))
    return engine, _ask("dnnl_stream_create", engine, IN_ORDER)


def _layout(shape: Sequence[int], order: Sequence[int], dtype: int) -> c_void_p:
    """A row-major array whose axes the library wants in another order."""
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    axes = [_numbers([int(v[a]) for a in order]) for v in (shape, strides)]
    return _ask("dnnl_memory_desc_create_with_strides", len(order), axes[0], dtype, axes[1])


@cache
def _own_scratch() -> c_void_p:
    """Says that temporaries are ours: the library's own belong to the thread that made a primitive,
    and XLA has others.
    """
    attributes = _ask("dnnl_primitive_attr_create")
    _do("dnnl_primitive_attr_set_scratchpad_mode", attributes, USER)
    return attributes


class _Argument(ctypes.Structure):
    _fields_ = (("role", c_int), ("memory", c_void_p))


class Primitive:
    """A function of the library, its memories and its temporaries."""

    def __init__(self, description: c_void_p, memories: dict[int, c_void_p]):
        self.primitive = _ask("dnnl_primitive_create", description)
        self.bytes, temporary = _part(description, QUERY_SCRATCH)
        self.temporary = _ask("dnnl_memory_create", temporary, _engine()[0], None)
        pairs = [
            (role, memory.value) for role, memory in {**memories, SCRATCH: self.temporary}.items()
        ]
        self.arguments = (_Argument * len(pairs))(*(_Argument(*pair) for pair in pairs))

    def run(self, scratch: int) -> None:
        """Runs it, with temporaries at an address."""
        stream = _engine()[1]
        _do("dnnl_memory_set_data_handle", self.temporary, c_void_p(scratch))
        _do("dnnl_primitive_execute", self.primitive, stream, len(self.arguments), self.arguments)
        _do("dnnl_stream_wait", stream)


class Plan:
    """One of the three maps for arrays of one shape, ready to run on addresses."""

    def __init__(self, call: Call):
        dtype, engine, own_scratch = DTYPES[call.dtype][1], _engine()[0], _own_scratch()
        channels_first, out_in = (0, 4, 1, 2, 3), (4, 3, 0, 1, 2)
        x, y = (_layout(shape, channels_first, dtype) for shape in (call.x, call.y))
        plain = _layout(call.kernel, out_in, dtype)
        kernel = _numbers([call.kernel[a] for a in out_in])
        blocked = _ask("dnnl_memory_desc_create_with_tag", 5, kernel, dtype, ANY)
        sizes = list(zip(call.x[1:4], call.kernel[:3], call.y[1:4]))
        left = _numbers([k // 2 for _, k, _ in sizes])
        right = _numbers([(j - 1) * call.stride + k - n - k // 2 for n, k, j in sizes])
        how = (_numbers((call.stride,) * 3), _numbers((0,) * 3), left, right)
        name = "dnnl_convolution_{}_primitive_desc_create"
        chosen = forward = _ask(
            name.format("forward"), engine, FORWARD, DIRECT, x, blocked, None, y, *how, own_scratch
        )
        roles, query = (SOURCE, WEIGHTS, TARGET), QUERY_WEIGHTS
        if call.map == "spread":
            roles = (SOURCE + GRADIENT, WEIGHTS, TARGET + GRADIENT)
            chosen = _ask(
                name.format("backward_data"),
                engine,
                DIRECT,
                x,
                blocked,
                y,
                *how,
                forward,
                own_scratch,
            )
        if call.map == "correlate":
            roles, query = (
                (SOURCE, WEIGHTS + GRADIENT, TARGET + GRADIENT),
                QUERY_GRADIENT_OF_WEIGHTS,
            )
            chosen = _ask(
                name.format("backward_weights"),
                engine,
                DIRECT,
                x,
                blocked,
                None,
                y,
                *how,
                forward,
                own_scratch,
            )
        self.bytes, own = _part(chosen, query)
        memories = [_ask("dnnl_memory_create", d, engine, None) for d in (x, own, y, plain)]
        self.x, self.own, self.y, self.kernel = memories
        backward = call.map == "correlate"  # the kernel is written, not read
        ends = (own, plain) if backward else (plain, own)
        reorder = _ask(
            "dnnl_reorder_primitive_desc_create", ends[0], engine, ends[1], engine, own_scratch
        )
        sides = (self.own, self.kernel) if backward else (self.kernel, self.own)
        steps = [
            Primitive(reorder, dict(zip((SOURCE, TARGET), sides))),
            Primitive(chosen, dict(zip(roles, memories))),
        ]
        self.steps = steps[::-1] if backward else steps

    def run(self, x: int, kernel: int, y: int) -> None:
        """Reads and writes at these addresses."""
        blocks = _room(self.bytes + 64 + max(step.bytes for step in self.steps))
        for memory, address in (
            (self.x, x),
            (self.kernel, kernel),
            (self.y, y),
            (self.own, blocks),
        ):
            _do("dnnl_memory_set_data_handle", memory, c_void_p(address))
        for step in self.steps:
            step.run(blocks + -(-self.bytes // 64) * 64)


_lock = threading.Lock()
_scratch = np.zeros(
    0, np.uint8
)  # a kernel in the library's layout, and temporaries; calls take turns


def _room(size: int) -> int:
    """The address of so many bytes."""
    global _scratch
    if _scratch.size < size + 64:
        _scratch = np.empty(size + 64, np.uint8)
    return _scratch.ctypes.data + -_scratch.ctypes.data % 64


@cache
def plan(call: Call) -> Plan | None:
    """The plan, or None where the library has none."""
    try:
        return Plan(call)
    except Refused:
        return None


# map -> which of (x, kernel, y) its two arguments are, and its result
OPERANDS = {"convolve": (0, 1, 2), "spread": (2, 1, 0), "correlate": (0, 2, 1)}


@cache
def _target(map: str, stride: int) -> str:
    """The name by which XLA knows a map; registered when it is first needed."""
    name = f"fedbrain_onednn_{map}_{stride}"
    types = {number: dtype for dtype, (number, _) in DTYPES.items()}

    def run(arguments: Sequence[foreign.Operand], results: Sequence[foreign.Operand]) -> None:
        operands = sorted(zip(OPERANDS[map], (*arguments, *results)))
        x, kernel, y = (operand for _, operand in operands)
        with _lock:
            chosen = plan(Call(map, x.shape, kernel.shape, y.shape, stride, types[x.dtype]))
            if chosen is None:
                raise Refused(
                    f"oneDNN has no plan for {x.shape}, {kernel.shape} in {types[x.dtype]}."
                )
            chosen.run(x.address, kernel.address, y.address)

    foreign.register(name, run)
    return name


def runs(call: Call) -> bool:
    """Whether the library is there and has a kernel for this call."""
    if library() is None or call.dtype not in DTYPES:
        return False
    with _lock:
        return plan(call) is not None


def apply(call: Call, first: Array, second: Array) -> Array:
    """One of the maps; under `vmap` clients come one after the other."""
    shape = (call.x, call.kernel, call.y)[OPERANDS[call.map][-1]]
    run: Callable = jax.ffi.ffi_call(
        _target(call.map, call.stride),
        jax.ShapeDtypeStruct(shape, call.dtype),
        vmap_method="sequential",
    )
    return run(first, second)
