"""Runs the instructions of a pickle without calling anything: names of functions stay text.

A pickle is a program that builds values by calls. Here only plain values are built; a call is
handed to a function of ours, which knows what a few names mean and refuses all others. A hostile
file can therefore only be refused.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple


class Name(NamedTuple):
    """A function or type that the pickle names, as `module name`; never looked up."""

    text: str


class Thing(NamedTuple):
    """An object that is not built; only the name of its type is known."""

    text: str


class Mark:
    """Where the arguments of an instruction begin."""


class Unreadable(ValueError):
    """The file is not what a reader of weights understands."""


# (name of a function or type, its arguments) -> value
Call = Callable[[str, tuple], Any]
# Values that stand in the instruction itself.
LITERALS = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "INT", "BININT",
    "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}


class Machine:
    """The stack and the memory of one pickle.

    Args:
      call: what a call means.
      load: what a persistent identifier (a storage, in files of PyTorch) stands for.
    """

    def __init__(self, call: Call, load: Callable[[Any], Any]):
        self.call, self.load = call, load
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def run(self, code: io.BytesIO) -> Any:
        """The value that the instructions describe; the stream is left behind the last of them.

        Args:
          code: a stream of bytes.

        Raises:
          Unreadable: for instructions and names that are refused.
        """
        for opcode, argument, _ in pickletools.genops(code):
            if opcode.name == "STOP":
                return self.stack.pop()
            self._step(opcode.name, argument)
        raise Unreadable("expected a complete pickle, got one without an end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memory[int(argument or 0)] = stack[-1]
        elif name == "MEMOIZE":
            self.memory[len(self.memory)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memory[int(argument or 0)])
        elif name == "MARK":
            stack.append(Mark())
        elif name in ("POP", "POP_MARK", "DUP"):
            self._discard(name)
        elif not self._collect(name) and not self._refer(name, argument):
            raise Unreadable(
                f"expected a dictionary of tensors, got the pickle instruction {name}, which is"
                " refused"
            )

    def _discard(self, name: str) -> None:
        if name == "POP":
            self.stack.pop()
        elif name == "POP_MARK":
            self._to_mark()
        else:
            self.stack.append(self.stack[-1])

    def _to_mark(self) -> list[Any]:
        mark = max(i for i, x in enumerate(self.stack) if isinstance(x, Mark))
        values = self.stack[mark + 1 :]
        del self.stack[mark:]
        return values

    def _collect(self, name: str) -> bool:
        """Instructions that fill tuples, lists and dictionaries."""
        stack = self.stack
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            n = int(name[-1])
            stack[-n:] = [tuple(stack[-n:])]
        elif name == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif name in ("LIST", "FROZENSET"):
            stack.append(self._to_mark())
        elif name == "DICT":
            pairs = self._to_mark()
            stack.append(dict(zip(map(_key, pairs[::2]), pairs[1::2])))
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._to_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            if not isinstance(stack[-1], Thing):
                stack[-1].update(zip(map(_key, pairs[::2]), pairs[1::2]))
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            values = [stack.pop()] if name == "APPEND" else self._to_mark()
            if not isinstance(stack[-1], Thing):
                stack[-1].extend(values)
        else:
            return False
        return True

    def _refer(self, name: str, argument: Any) -> bool:
        """Instructions that name functions, types and storages."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(Name(str(argument)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(Name(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(self.load(stack.pop()))
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX"):
            if name == "NEWOBJ_EX":
                stack.pop()  # keywords
            arguments, function = stack.pop(), stack.pop()
            if not isinstance(function, Name):
                raise Unreadable(
                    f"expected a dictionary of tensors, got a call of {function!r:.40}"
                )
            stack.append(self.call(function.text, tuple(arguments)))
        elif name == "BUILD":  # attributes of an object, such as versions of modules
            stack.pop()
        else:
            return False
        return True


def _key(key: Any) -> Any:
    """A key of a dictionary; lists and dictionaries stand for types that can be keys."""
    return key if isinstance(key, str | int | float | bytes | tuple | Name) else repr(key)
