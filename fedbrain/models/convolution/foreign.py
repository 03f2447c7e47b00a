"""Functions of a C library as operations of XLA on a CPU, without a compiler.

XLA's stable foreign-function interface is a C header (jaxlib/include/xla/ffi/api/c_api.h); the
structures below are its own, version 0.3. Arrays are not copied. A failure of the function becomes
an error of the computation.

The functions are Python's, so no computation may be running when the interpreter ends: it would
wait for ever. Then arrays that are still being computed are waited for, and computations whose
results nobody kept, until no function was called for a while. Programs that can be interrupted
switch asynchronous dispatch off as well (`fedbrain.cli`).
"""

import atexit
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from typing import NamedTuple

import jax

QUIET_S = 0.5  # without a call: then no computation is running. A step calls every few ms
PATIENCE_S = 60.0  # at the end; a thread that computes for ever is not waited for
VERSION = (0, 3)
METADATA, INTERNAL = 1, 13  # XLA_FFI_Extension_Metadata, XLA_FFI_Error_Code_INTERNAL


class Operand(NamedTuple):
    """An array of XLA, row-major."""

    address: int
    shape: tuple[int, ...]
    dtype: int  # XLA_FFI_DataType: 11 is float32, 16 is bfloat16


HEADER = (("struct_size", c_size_t), ("extension", c_void_p))  # of most structures


class _Version(Structure):
    _fields_ = (*HEADER, ("major", c_int), ("minor", c_int))


class _Metadata(Structure):
    _fields_ = (("struct_size", c_size_t), ("version", _Version), ("traits", c_uint32))


class _Extension(Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("type", c_int),
        ("next", c_void_p),
        ("metadata", POINTER(_Metadata)),
    )


class _Error(Structure):
    _fields_ = (*HEADER, ("message", c_char_p), ("code", c_int))


class _Api(Structure):
    _fields_ = (
        *HEADER,
        ("version", _Version),
        ("internal", c_void_p),
        ("error_create", ctypes.CFUNCTYPE(c_void_p, POINTER(_Error))),
    )


class _Buffer(Structure):
    _fields_ = (
        *HEADER,
        ("dtype", c_int),
        ("data", c_void_p),
        ("rank", c_int64),
        ("dims", POINTER(c_int64)),
    )


class _Buffers(Structure):
    _fields_ = (
        *HEADER,
        ("size", c_int64),
        ("types", c_void_p),
        ("items", POINTER(POINTER(_Buffer))),
    )


class _Frame(Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("extension", POINTER(_Extension)),
        ("api", POINTER(_Api)),
        ("context", c_void_p),
        ("stage", c_int),
        ("arguments", _Buffers),
        ("results", _Buffers),
    )


Handler = ctypes.CFUNCTYPE(c_void_p, POINTER(_Frame))
_registered: dict[str, object] = {}  # kept alive: XLA calls them until the process ends


def _operands(buffers: _Buffers) -> list[Operand]:
    contents = [buffers.items[i].contents for i in range(buffers.size)]
    return [Operand(b.data, tuple(b.dims[: b.rank]), b.dtype) for b in contents]


class _Calls:
    """Calls from XLA, so that the interpreter ends after the last one."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()  # threads
        self.last = -QUIET_S  # on the monotonic clock

    def begin(self) -> None:
        self.under_way.add(threading.get_ident())

    def end(self) -> None:
        self.last = time.monotonic()
        self.under_way.discard(threading.get_ident())

    def wait(self) -> None:
        """Until all computations are over; see above."""
        jax.block_until_ready(jax.live_arrays("cpu"))
        began = time.monotonic()
        while self.under_way or time.monotonic() - self.last < QUIET_S:
            if time.monotonic() - began > PATIENCE_S:
                return
            time.sleep(0.01)


_calls = _Calls()


def register(name: str, function: Callable[[Sequence[Operand], Sequence[Operand]], None]) -> None:
    """Makes `jax.ffi.ffi_call(name, ...)` run a function of (arguments, results) on the CPU.

    XLA calls it from threads of its own, perhaps from several at once.
    """

    def handle(pointer) -> int | None:
        frame = pointer.contents
        if frame.extension and frame.extension.contents.type == METADATA:
            version = frame.extension.contents.metadata.contents.version
            version.major, version.minor = VERSION
            return None
        _calls.begin()
        try:
            function(_operands(frame.arguments), _operands(frame.results))
        except Exception as error:
            message = f"{name}: {type(error).__name__}: {error}".encode()
            failure = _Error(ctypes.sizeof(_Error), None, message, INTERNAL)
            return frame.api.contents.error_create(failure)
        finally:
            _calls.end()
        return None

    if not _registered:
        atexit.register(_calls.wait)
    _registered[name] = handler = Handler(handle)
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
