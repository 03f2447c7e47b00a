"""The three maps by oneDNN, the library that PyTorch uses on a CPU, as operations of XLA.

Optional: without the package `onednn-cpu-gomp` (Linux, x86-64) pure JAX takes over. Its threads are
those of OpenMP (`OMP_NUM_THREADS`), and one call runs at a time.

References:
  https://uxlfoundation.github.io/oneDNN/dev_guide_convolution.html
"""

from collections.abc import Callable, Sequence
from functools import cache

import jax
from jaxtyping import Array

from fedbrain.models.convolution import foreign
from fedbrain.models.convolution.onednn_library import Refused, library
from fedbrain.models.convolution.onednn_plan import DTYPES, Call, lock, plan

XLA_DTYPES = {11: "float32", 16: "bfloat16"}  # number in XLA's interface -> numpy's name
# map -> which of (x, kernel, y) its two arguments and its result are
OPERANDS = {"convolve": (0, 1, 2), "spread": (2, 1, 0), "correlate": (0, 2, 1)}


@cache
def _target(map: str, stride: int) -> str:
    """The name of a map in XLA; registered when it is first needed."""
    name = f"fedbrain_onednn_{map}_{stride}"

    def run(arguments: Sequence[foreign.Operand], results: Sequence[foreign.Operand]) -> None:
        operands = sorted(zip(OPERANDS[map], (*arguments, *results)))
        x, kernel, y = (operand for _, operand in operands)
        dtype = XLA_DTYPES[x.dtype]
        with lock:
            chosen = plan(Call(map, x.shape, kernel.shape, y.shape, stride, dtype))
            if chosen is None:
                raise Refused(f"oneDNN has no plan for {x.shape}, {kernel.shape} in {dtype}.")
            chosen.run(x.address, kernel.address, y.address)

    foreign.register(name, run)
    return name


def runs(call: Call) -> bool:
    """Whether the library is installed and has a kernel for this call."""
    if library() is None or call.dtype not in DTYPES:
        return False
    with lock:
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
