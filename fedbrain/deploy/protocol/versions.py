"""Versions of the programs on either side of a message: bits depend on them."""

import importlib.metadata

PROGRAMS = ("fedbrain", "jax", "jaxlib", "numpy", "nvflare")
ENGINE = "2.9."  # older engines lack the lists of types and classes that may be sent


def versions() -> dict[str, str]:
    """Program -> version; "" for one that is not installed.

    >>> sorted(versions())
    ['fedbrain', 'jax', 'jaxlib', 'numpy', 'nvflare']
    """
    return {name: _version(name) for name in PROGRAMS}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def require_engine() -> None:
    """Raises ValueError for an engine that does not enforce a site's settings."""
    version = _version("nvflare")
    if not version.startswith(ENGINE):
        raise ValueError(f"nvflare: expected version {ENGINE}*, got {version or 'none'}.")
