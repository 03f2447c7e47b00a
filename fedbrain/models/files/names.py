"""Which array of a file is which of ours: prefixes of frameworks, dictionaries around the weights,
and spellings of layers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from fedbrain.models.files.torch_names import modern_name

# Parts of a name that wrappers add: data parallel, torch.compile, Lightning Fabric, FSDP.
WRAPPERS = {
    "module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
}  # fmt: skip
# Keys and attributes under which training scripts keep the network itself.
MAIN = {
    "state_dict", "model_state_dict", "model_state", "model", "models", "net", "network",
    "network_weights", "weights", "params", "state", "checkpoint", "net_state_dict",
}  # fmt: skip


def without_wrappers(name: str) -> str:
    """The name without parts that only say how the network was run.

    >>> without_wrappers("module._orig_mod.features.conv0.weight")
    'features.conv0.weight'
    """
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _fits(names: Sequence[str], expected: set[str]) -> Counter[str]:
    """Prefix -> how many of the expected names follow it."""
    fits: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in expected:
                fits[".".join(parts[:i])] += 1
    return fits


def _rank(prefix: str) -> int:
    """How many parts of a prefix are not those of the network itself."""
    return sum(part not in MAIN and not part.isdigit() for part in prefix.split(".") if part)


def _one_prefix(fits: Counter[str]) -> str:
    most = max(fits.values())
    best = sorted((p for p, count in fits.items() if count == most), key=lambda p: (_rank(p), p))
    if len(best) > 1 and _rank(best[0]) == _rank(best[1]):
        listed = " and ".join(repr(p) for p in best[:3])
        raise ValueError(
            f"expected one network, got {len(best)}, under {listed}. Choose one:"
            f" file(..., part={best[0]!r})."
        )
    return best[0]


def match(
    names: Sequence[str], spellings: Sequence[Mapping[str, str]], part: str
) -> tuple[int, dict[str, str]]:
    """Which spelling of our names a file has, and its name of each array.

    Args:
      names: in the file.
      spellings: each our name -> its name in a file, without a prefix.
      part: where the network is in the file; empty: where most names fit.

    Returns:
      (number of the spelling, our name -> name in the file or, where the file has none, the one
      that is expected).

    Raises:
      ValueError: when several networks in the file fit equally well.
    """
    inside = [name for name in names if not part or name.startswith(f"{part}.")]
    if part and not inside:
        raise ValueError(f"expected names that begin with {part!r}, got {names[0]!r}.")
    modern = {modern_name(name): name for name in inside}
    fits = [_fits(list(modern), set(spelling.values())) for spelling in spellings]
    most = [max(f.values(), default=0) for f in fits]
    best = most.index(max(most))
    if not most[best]:  # another network: the spelling that this file would have
        best = 0 if any("/" in name for name in names) else 1
        return best, dict(spellings[best])
    prefix = _one_prefix(fits[best])
    full = {ours: f"{prefix}.{name}".lstrip(".") for ours, name in spellings[best].items()}
    return best, {ours: modern.get(name, name) for ours, name in full.items()}
