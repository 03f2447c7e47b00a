"""One of the three maps by oneDNN, for arrays of one shape: a convolution and a kernel copy."""

import threading
from ctypes import c_void_p
from functools import cache
from typing import NamedTuple

import numpy as np

from fedbrain.models.convolution import onednn_library as dnn
from fedbrain.models.convolution.onednn_library import GRADIENT, SOURCE, TARGET, WEIGHTS

FORWARD, DIRECT = 64, 1  # kind of propagation, algorithm
QUERY_WEIGHTS, QUERY_GRADIENT_OF_WEIGHTS = 131, 132
DTYPES = {"float32": 3, "bfloat16": 2}  # numpy's name -> number in oneDNN
CHANNELS_FIRST, OUT_IN_FIRST = (0, 4, 1, 2, 3), (4, 3, 0, 1, 2)  # orders of axes in oneDNN
ALIGNMENT = 64  # bytes

lock = threading.Lock()  # plans share memories and temporaries: one call at a time


class Call(NamedTuple):
    """What a plan is made for."""

    map: str  # convolve, spread or correlate
    x: tuple[int, ...]  # [b d h w c]
    kernel: tuple[int, ...]  # [kd kh kw c o]
    y: tuple[int, ...]  # [b i j k o]
    stride: int
    dtype: str


class Plan:
    """One of the three maps, ready to run on addresses.

    x and y are read and written where XLA has them, channels last. The kernel is copied from or to
    the library's own layout on every call, which costs little.
    """

    def __init__(self, call: Call):
        dtype = DTYPES[call.dtype]
        x = dnn.permuted_layout(call.x, CHANNELS_FIRST, dtype)
        y = dnn.permuted_layout(call.y, CHANNELS_FIRST, dtype)
        kernel = dnn.permuted_layout(call.kernel, OUT_IN_FIRST, dtype)
        convolution, roles, query = _convolution(call, x, y, dtype)
        self.kernel_bytes, blocked = dnn.size_and_layout(convolution, query)
        self.x, self.y, self.kernel, self.blocked = map(dnn.memory, (x, y, kernel, blocked))
        main = dnn.Primitive(convolution, dict(zip(roles, (self.x, self.blocked, self.y))))
        if call.map == "correlate":  # the kernel is written, not read
            copy = _reorder(blocked, kernel, self.blocked, self.kernel)
            self.steps = (main, copy)
        else:
            copy = _reorder(kernel, blocked, self.kernel, self.blocked)
            self.steps = (copy, main)

    def run(self, x: int, kernel: int, y: int) -> None:
        """Reads and writes at these addresses."""
        kernel_bytes = -(-self.kernel_bytes // ALIGNMENT) * ALIGNMENT
        blocked = _scratch_address(kernel_bytes + max(step.scratch_bytes for step in self.steps))
        for memory, address in (
            (self.x, x),
            (self.kernel, kernel),
            (self.y, y),
            (self.blocked, blocked),
        ):
            dnn.set_address(memory, address)
        for step in self.steps:
            step.run(blocked + kernel_bytes)


def _convolution(
    call: Call, x: c_void_p, y: c_void_p, dtype: int
) -> tuple[c_void_p, tuple[int, int, int], int]:
    """(description, roles of x, kernel and y, query for the kernel's layout)."""
    kernel_dims = dnn.dims([call.kernel[axis] for axis in OUT_IN_FIRST])
    kernel = dnn.create("dnnl_memory_desc_create_with_tag", 5, kernel_dims, dtype, dnn.ANY)
    sizes = list(zip(call.x[1:4], call.kernel[:3], call.y[1:4]))
    padding = (
        dnn.dims([k // 2 for _, k, _ in sizes]),
        dnn.dims([(j - 1) * call.stride + k - n - k // 2 for n, k, j in sizes]),
    )
    geometry = (dnn.dims((call.stride,) * 3), dnn.dims((0,) * 3), *padding)
    create = "dnnl_convolution_{}_primitive_desc_create"
    engine, scratch = dnn.engine(), dnn.caller_scratch()
    forward = dnn.create(
        create.format("forward"), engine, FORWARD, DIRECT, x, kernel, None, y, *geometry, scratch
    )
    if call.map == "convolve":
        return forward, (SOURCE, WEIGHTS, TARGET), QUERY_WEIGHTS
    if call.map == "spread":
        name, arrays = "backward_data", (x, kernel, y)
        roles, query = (SOURCE + GRADIENT, WEIGHTS, TARGET + GRADIENT), QUERY_WEIGHTS
    else:
        name, arrays = "backward_weights", (x, kernel, None, y)
        roles = (SOURCE, WEIGHTS + GRADIENT, TARGET + GRADIENT)
        query = QUERY_GRADIENT_OF_WEIGHTS
    backward = dnn.create(create.format(name), engine, DIRECT, *arrays, *geometry, forward, scratch)
    return backward, roles, query


def _reorder(
    source: c_void_p, target: c_void_p, from_memory: c_void_p, to_memory: c_void_p
) -> dnn.Primitive:
    """A copy from one layout to another."""
    engine = dnn.engine()
    description = dnn.create(
        "dnnl_reorder_primitive_desc_create", source, engine, target, engine, dnn.caller_scratch()
    )
    return dnn.Primitive(description, {SOURCE: from_memory, TARGET: to_memory})


_scratch = np.zeros(0, np.uint8)  # a kernel in the library's layout, and temporaries


def _scratch_address(size: int) -> int:
    """The aligned address of so many bytes."""
    global _scratch
    if _scratch.size < size + ALIGNMENT:
        _scratch = np.empty(size + ALIGNMENT, np.uint8)
    return _scratch.ctypes.data + -_scratch.ctypes.data % ALIGNMENT


@cache
def plan(call: Call) -> Plan | None:
    """The plan, or None where the library has none."""
    try:
        return Plan(call)
    except dnn.Refused:
        return None
