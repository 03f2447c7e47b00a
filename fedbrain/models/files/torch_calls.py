"""What the calls in a pickle of PyTorch mean: tensors, containers, and known things that are passed
over. Nothing is called.
"""

from typing import Any, NamedTuple

from fedbrain.models.files.instructions import Name, Thing, Unreadable

# storage type -> NumPy's type; bfloat16 is the upper half of a float32
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<u1",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
BYTES = {"bfloat16": 2}
# Types of these packages are known to lie beside weights: settings, paths, schedules, counters.
PACKAGES = {
    "argparse", "collections", "datetime", "decimal", "enum", "fractions", "ignite", "lightning",
    "lightning_fabric", "ml_collections", "monai", "nnunet", "nnunetv2", "numpy", "omegaconf",
    "pathlib", "pytorch_lightning", "timm", "torch", "torchmetrics", "torchvision", "transformers",
    "types", "uuid",
}  # fmt: skip
# Functions and types in small letters, by their last name.
SMALL = {
    "numpy": {"dtype", "ndarray", "scalar", "_reconstruct", "_frombuffer"},
    "torch": {"device", "dtype", "layout", "_get_layout"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "collections": {"defaultdict", "deque"},
    "_codecs": {"encode"},
}
BUILTINS = {"set", "frozenset", "list", "dict", "tuple", "bytearray", "bytes", "complex", "slice"}
BUILTINS |= {"range", "int", "float", "str", "bool", "object"}
DICTIONARIES = {"OrderedDict", "defaultdict", "Counter", "AttributeDict", "dict", "ConfigDict"}
REFUSED = (
    "which is refused, since nothing in a file is executed. In PyTorch, save the weights alone:"
    " torch.save(model.state_dict(), FILE)"
)


class Storage(NamedTuple):
    """The numbers of one or more tensors, as raw bytes in the file."""

    kind: str  # FloatStorage, ...
    key: str  # its name in the file

    @property
    def itemsize(self) -> int:
        """Bytes of a number; 1 where the type is not known."""
        dtype = STORAGES.get(self.kind, "|1")
        return BYTES.get(dtype) or int(dtype[2:])


class Tensor(NamedTuple):
    """Which part of a storage a tensor is."""

    storage: Storage
    offset: int  # of the first number
    size: tuple[int, ...]
    stride: tuple[int, ...]  # in numbers
    dtype: str  # NumPy's, or PyTorch's name of a type that is not read


def to_storage(identifier: Any) -> Storage:
    """The storage that a persistent identifier of PyTorch stands for.

    Args:
      identifier: ("storage", type, key, place, ...).

    Raises:
      Unreadable: when it stands for something else.
    """
    if isinstance(identifier, tuple) and identifier[0] == "module":
        raise Unreadable(f"expected a dictionary of tensors, got a whole module, {REFUSED}")
    _, kind, key, *_ = identifier
    text = kind.text if isinstance(kind, Name) else repr(kind)
    module, _, name = text.rpartition(" ")
    if module.split(".")[0] != "torch" or not name.endswith("Storage"):
        raise Unreadable(f"expected storages of torch, got {text!r:.60}")
    return Storage(name, str(key))


def _tensor(name: str, arguments: tuple) -> Tensor:
    storage, offset, size, stride, *rest = arguments
    dtype = str(STORAGES.get(storage.kind, storage.kind))
    if name == "_rebuild_tensor_v3" and len(rest) > 2 and isinstance(rest[2], Name):
        dtype = rest[2].text.removeprefix("torch ")
    return Tensor(storage, int(offset), tuple(size), tuple(stride), dtype)


def _is_known(module: str, name: str) -> bool:
    """Whether a type, or a small function, is one that lies beside weights."""
    package = module.split(".")[0]
    if package in ("builtins", "__builtin__"):
        return name in BUILTINS
    return name in SMALL.get(package, ()) or (package in PACKAGES and name[:1].isupper())


def call(text: str, arguments: tuple) -> Any:
    """The value that stands for a call.

    Args:
      text: the function or type, as `module name`.
      arguments: of the call.

    Returns:
      A Tensor, a dictionary, a list, or a Thing that is passed over.

    Raises:
      Unreadable: for a name that is not known.
    """
    module, _, name = text.rpartition(" ")
    if module == "torch._utils":
        if name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"):
            return _tensor(name, arguments)
        if name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return arguments[0]
        if name.startswith("_rebuild_"):  # quantised, sparse, without numbers: not read
            return Tensor(Storage("", ""), 0, (), (), name.removeprefix("_rebuild_"))
    if text == "torch._tensor _rebuild_from_type_v2":
        return call(arguments[0].text, tuple(arguments[2]))
    if text in ("copyreg _reconstructor", "copy_reg _reconstructor"):
        return call(arguments[0].text, ())
    if not _is_known(module, name):
        raise Unreadable(f"expected a dictionary of tensors, got a call of {text!r:.60}, {REFUSED}")
    if name in DICTIONARIES:
        items = arguments[0] if arguments and not isinstance(arguments[0], Name) else {}
        return dict(items)
    return list(arguments[0]) if name in ("set", "frozenset", "list") and arguments else Thing(text)
