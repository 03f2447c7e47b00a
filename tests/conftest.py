"""Every annotation of fedbrain is checked while tests run; two CPU devices stand in for a mesh."""

import importlib.metadata
import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"
PROCESSES = 4  # at most: each takes 2 to 3 GB


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes share the tests: a core each, and none for one file, which would wait
    longer for their start.
    """
    one_file = len(config.args) == 1 and config.args[0].split("::")[0].endswith(".py")
    return 0 if one_file else min(PROCESSES, os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    """Before anything imports fedbrain, in each process that runs tests."""
    if config.getoption("numprocesses"):
        return  # this process only hands tests out
    os.environ["JAX_PLATFORMS"] = "cpu"

    from jaxtyping import install_import_hook

    install_import_hook("fedbrain", "beartype.beartype")
    import jax

    from fedbrain import cli

    # XLA reads its flags at the first computation; importing fedbrain makes none.
    os.environ["XLA_FLAGS"] = " ".join(
        [
            os.environ.get("XLA_FLAGS", ""),
            "--xla_force_host_platform_device_count=2",
            cli.CPU_FLAGS.get(importlib.metadata.version("jaxlib"), ""),
        ]
    )
    if not jax.config.values.get("jax_compilation_cache_dir"):
        jax.config.update(
            "jax_compilation_cache_dir", str(Path("~/.cache/fedbrain/xla-tests").expanduser())
        )
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that lies beside the checkout on some machines."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data of ../shared/data, which is not part of the project")
    return SHARED


@pytest.fixture
def tree(tmp_path) -> Path:
    """A small BIDS tree of synthetic scans with ages."""
    from tests import tiny

    return tiny.write_tree(tmp_path / "tree")
