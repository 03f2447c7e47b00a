"""Every annotation of fedbrain is checked while tests run; two CPU devices stand in for a mesh."""

import importlib.metadata
import os

os.environ["JAX_PLATFORMS"] = "cpu"

from jaxtyping import install_import_hook

install_import_hook("fedbrain", "beartype.beartype")

from pathlib import Path

import jax
import pytest

from fedbrain import cli
from tests import tiny

# XLA reads its flags at the first computation; importing fedbrain makes none.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=2",
        cli.CPU_FLAGS.get(importlib.metadata.version("jaxlib"), ""),
    ]
)

SHARED = Path(__file__).parents[2] / "shared" / "data"

jax.config.update(
    "jax_compilation_cache_dir", str(Path("~/.cache/fedbrain/xla-tests").expanduser())
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that lies beside the checkout on some machines."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data of ../shared/data, which is not part of the project")
    return SHARED


@pytest.fixture
def tree(tmp_path) -> Path:
    """A small BIDS tree of synthetic scans with ages."""
    return tiny.write_tree(tmp_path / "tree")
