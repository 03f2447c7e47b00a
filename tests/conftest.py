"""Every annotation of fedbrain is checked while tests run; two CPU devices stand in for a mesh."""

import gc
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"
CACHE = Path("~/.cache/fedbrain/xla-tests")  # of compiled programs
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
    # For programs that tests start, too.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE.expanduser()))
    # Small programs, too: there are thousands, and reading one takes a quarter of compiling it.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    gc.set_threshold(
        10_000, 20, 50
    )  # what JAX traced lives on: looking through it again is in vain

    import jax
    from jaxtyping import install_import_hook

    install_import_hook("fedbrain", "beartype.beartype")
    from fedbrain.cli import process

    # As in the commands: no computation is under way when Python goes on (see process.configure).
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    # XLA reads its flags at the first computation; importing fedbrain makes none.
    os.environ["XLA_FLAGS"] = " ".join(
        [
            os.environ.get("XLA_FLAGS", ""),
            "--xla_force_host_platform_device_count=2",
            # Two devices share the cores with other tests: by default XLA ends the process when one
            # waits 40 s for the other.
            "--xla_cpu_collective_call_terminate_timeout_seconds=600",
            process.CPU_FLAGS.get(importlib.metadata.version("jaxlib"), ""),
        ]
    )


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


@pytest.fixture(scope="session")
def scans(tmp_path_factory) -> Path:
    """A cache of prepared scans: all processes that test draw a synthetic scan once."""
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "scans"


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory) -> Path:
    """BIDS trees of three synthetic hospitals with ten people each, to be read and not written."""
    from fedbrain.data.synthetic.write import write_cohort

    folder = tmp_path_factory.mktemp("hospitals") / "trees"
    write_cohort(folder, healthy=10, ms=0, seed=5)
    return folder


@pytest.fixture(scope="session")
def two_rounds(shared_programs, scans, tmp_path_factory) -> Path:
    """The work directory of a finished federated experiment on ages, to be read and not written."""
    from absl import flags

    from fedbrain import main
    from tests.experiment_under_test import config

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    folder = tmp_path_factory.mktemp("two_rounds")
    with without_figures():
        main.run(config(scans, rounds=2, regimes=("federated",)), folder)
    return folder


# Fields that decide what is compiled; seeds, rounds and folders are arguments of it.
COMPILED = (
    "algorithm", "augment", "client", "covariates", "driver", "loss", "modalities", "model",
    "residence", "server", "trainable",
)  # fmt: skip


@pytest.fixture(scope="session")
def shared_programs():
    """Experiments of one process that train the same thing are traced and compiled once."""
    from fedbrain.experiments import experiment as module

    experiments, programs = {}, {}
    read, compile_all = module.read_experiment, module.compile_experiment

    def read_experiment(config):
        experiment = read(config)
        fields = config.to_dict()
        key = repr({name: fields[name] for name in COMPILED})
        first = experiments.setdefault(key, experiment)
        return experiment._replace(task=first.task, algorithm=first.algorithm)

    def compile_experiment(experiment):
        key = id(experiment.algorithm)  # `experiments` keeps it alive
        if key not in programs:
            programs[key] = compile_all(experiment)
        return programs[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_experiment", read_experiment)
        patch.setattr(module, "compile_experiment", compile_experiment)
        yield


@contextmanager
def without_figures() -> Iterator[None]:
    """Experiments draw nothing: their figures are looked at in tests/test_main.py."""
    from fedbrain.experiments import experiment as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "draw_figures", lambda *args, **kwargs: None)
        patch.setattr(module, "write_cohorts", lambda *args, **kwargs: None)
        yield


@pytest.fixture(scope="module")
def no_figures():
    """See `without_figures`."""
    with without_figures():
        yield
