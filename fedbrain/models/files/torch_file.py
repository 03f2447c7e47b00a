"""Tensors of a PyTorch file (`.pt`, `.pth`), read without torch and without executing its pickle.

Such a file is a ZIP archive of raw storages and a pickle that says which tensor is which part of
which storage. A pickle is a program; here its instructions are listed, and only those that describe
a dictionary of tensors are understood. Names of functions stay text and nothing is imported or
called, so that a hostile file can only be refused.
"""

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STORAGES = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ByteStorage": "<u1",
    "torch BoolStorage": "<u1",
}
TENSOR = "torch._utils _rebuild_tensor_v2"
PARAMETER = "torch._utils _rebuild_parameter"
DICTIONARY = "collections OrderedDict"
# keys under which training scripts put a state dictionary
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}


class _Name(NamedTuple):
    """A function or type that the pickle names; never looked up."""

    text: str


class _Storage(NamedTuple):
    """A file of the archive: the numbers of one or more tensors."""

    dtype: str
    key: str


class _Mark:
    """Where the arguments of an instruction begin."""


class Unreadable(ValueError):
    """The file is not a dictionary of tensors."""


def _reduce(function: Any, arguments: tuple, archive: zipfile.ZipFile, folder: str) -> Any:
    """The value of a call, for the three calls that are understood."""
    name = function.text if isinstance(function, _Name) else repr(function)
    if name == DICTIONARY and not arguments:
        return {}
    if name == PARAMETER:
        return arguments[0]
    if name == TENSOR:
        storage, offset, size, stride = arguments[:4]
        flat = np.frombuffer(archive.read(f"{folder}/data/{storage.key}"), storage.dtype)
        last = offset + sum((n - 1) * s for n, s in zip(size, stride)) if all(size) else offset
        if min((offset, *size, *stride)) < 0 or last >= max(flat.size, 1):
            raise Unreadable(
                f"expected a tensor inside its storage of {flat.size} numbers, got {size} from"
                f" {offset}"
            )
        steps = [s * flat.itemsize for s in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:], size, steps).copy()
    raise Unreadable(f"expected a dictionary of tensors, got a call of {name!r}, which is refused")


def _run(code: bytes, archive: zipfile.ZipFile, folder: str) -> Any:
    """The value that the instructions describe."""
    stack: list[Any] = []
    memory: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        mark = max(i for i, x in enumerate(stack) if isinstance(x, _Mark))
        values = stack[mark + 1 :]
        del stack[mark:]
        return values

    for opcode, argument, _ in pickletools.genops(code):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                stack.append(_Mark())
            case "GLOBAL":
                stack.append(_Name(str(argument)))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case name if name in LITERALS:
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                memory[int(argument or 0)] = stack[-1]
            case "MEMOIZE":
                memory[len(memory)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memory[int(argument or 0)])
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = int(opcode.name[-1])
                stack[-n:] = [tuple(stack[-n:])]
            case "BINPERSID":
                _, kind, key, *_ = stack.pop()
                if not isinstance(kind, _Name) or kind.text not in STORAGES:
                    raise Unreadable(f"expected storages of {', '.join(STORAGES)}, got {kind}")
                stack.append(_Storage(STORAGES[kind.text], str(key)))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_reduce(stack.pop(), arguments, archive, folder))
            case "SETITEM":
                value = stack.pop()
                key = stack.pop()
                stack[-1][key] = value
            case "SETITEMS":
                pairs = pop_to_mark()
                stack[-1].update(zip(pairs[::2], pairs[1::2]))
            case "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            case "APPENDS":
                values = pop_to_mark()
                stack[-1].extend(values)
            case "BUILD":  # attributes of an OrderedDict, such as versions of modules
                stack.pop()
            case other:
                raise Unreadable(
                    f"expected a dictionary of tensors, got the pickle instruction {other}, which"
                    " is refused"
                )
    raise Unreadable("expected a complete pickle, got one without an end")


def _tensors(value: Any) -> dict[str, np.ndarray]:
    """The tensors of a state dictionary, or of the one that a training script has wrapped."""
    if isinstance(value, Mapping):
        for key in WRAPPERS:
            if isinstance(value.get(key), Mapping):
                return _tensors(value[key])
        tensors = {str(k): v for k, v in value.items() if isinstance(v, np.ndarray)}
        if tensors:
            return tensors
    raise Unreadable(f"expected a dictionary of tensors, got {type(value).__name__} without any")


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dictionary by name.

    The prefix `module.` of parallel training is left out.

    Raises:
      ValueError: naming the file and what in it is not understood.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if not pickles:
                raise Unreadable(
                    "expected a file of torch.save (ZIP with data.pkl), got another ZIP archive"
                )
            folder = pickles[0].removesuffix("/data.pkl")
            tensors = _tensors(_run(archive.read(pickles[0]), archive, folder))
    except zipfile.BadZipFile:
        raise ValueError(
            f"{path}: expected a file of torch.save since PyTorch 1.6 (ZIP), got something else."
        ) from None
    except FileNotFoundError:
        raise ValueError(f"{path}: expected a file of torch.save, got no file.") from None
    except Unreadable as error:
        raise ValueError(f"{path}: {error}.") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a dictionary of tensors, got a damaged or hostile file ({error})."
        ) from None
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
