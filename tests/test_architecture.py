"""Where things are: what docs/architecture.md names is there, and nothing imports a command."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import grimp  # comes with import-linter
import pytest

from fedbrain.deploy.server_side.rounds import conduct
from fedbrain.experiments import experiment
from fedbrain.experiments.compiled import compile_experiment
from fedbrain.experiments.config import read_experiment
from tests import experiment_under_test
from tests.faults import in_memory
from tools import architecture_page as page
from tools import architecture_walks as walks

ROOT = Path(__file__).parents[1]
HOPS = [*(hop for _, hop in walks.WHERE), *walks.SCAN, *walks.UPDATE]


@pytest.mark.parametrize("place", sorted({hop.place for hop in HOPS}))
def test_functions_that_are_named_exist(place):
    path, _, name = place.partition(":")
    assert name in page.names_in(ROOT / path), place


@pytest.mark.parametrize("walk", [walks.SCAN, walks.UPDATE], ids=["scan", "update"])
def test_no_hop_is_passed_twice(walk):
    places = [hop.place for hop in walk]
    assert len(places) == len(set(places))


def calls_during(run: Callable[[], object]) -> list[str]:
    """file:function of every call into fedbrain, in all threads, in their order.

    JAX calls a jitted function's Python only to trace it: `run` must train a new experiment.
    """
    calls, ours = [], str(ROOT / "fedbrain")

    def record(frame, event, argument):
        del event, argument  # a trace function is asked about calls of Python alone
        if frame.f_code.co_filename.startswith(ours):
            calls.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    threading.settrace(record)
    sys.settrace(record)
    try:
        run()
    finally:
        sys.settrace(None)
        threading.settrace(None)
    names = ((Path(file).relative_to(ROOT), name.replace(".<locals>", "")) for file, name in calls)
    return [f"{file.as_posix()}:{name}" for file, name in names]


def require_order(walk: Sequence[walks.Hop], calls: Sequence[str]) -> None:
    """The hops are called one after the other."""
    left = iter(calls)
    for hop in walk:
        assert hop.place in left, f"{hop.place}: not called after the hops before it"


def test_a_scan_goes_that_way(tree, tmp_path, monkeypatch):
    c = experiment_under_test.config(tmp_path / "cache", rounds=1, regimes=("federated",))
    c.sites = {"here": f"bids({str(tree)!r})"}
    c.prepare = "conform(voxel_size_mm=6.0, shape=(8, 8, 8))"
    c.driver, c.residence = "loop()", "streamed()"
    monkeypatch.setattr(experiment, "read_experiment", read_experiment)  # not `shared_programs`
    monkeypatch.setattr(experiment, "compile_experiment", compile_experiment)
    require_order(walks.SCAN, calls_during(lambda: experiment.run(c, tmp_path / "run")))


def test_an_update_goes_that_way(tmp_path, scans, monkeypatch):
    """Without the network engine, whose place a transport in memory takes.

    The Python of a step is called once, where the first program that holds it is traced.
    """
    monkeypatch.setattr(in_memory, "EXPERIMENTS", {})
    monkeypatch.setattr(in_memory, "COMPILED", {})

    def run() -> None:
        consortium = in_memory.Consortium(scans, tmp_path, rounds=1)
        conduct(consortium.side(), folder=tmp_path / "server")

    calls = calls_during(run)
    inside = [hop for hop in walks.UPDATE if "/nvflare/" not in hop.place]
    step = "fedbrain/algorithms/client.py:_step"
    assert step in calls
    require_order(
        [hop for hop in inside if "/audit.py:" not in hop.place and hop.place != step], calls
    )


def test_nothing_imports_an_entry_point():
    graph = grimp.build_graph("fedbrain", cache_dir=None)
    entry_points = {m for m in graph.modules if page.package_of(m) == page.ENTRY_POINTS}
    assert "fedbrain.main" in entry_points
    importers = {m: graph.find_modules_that_directly_import(m) for m in entry_points}
    assert not {m: sorted(names) for m, names in importers.items() if names}


def test_an_import_points_down():
    order = [set(layer) for layer in page.layers()]
    rank = {name: k for k, layer in enumerate(order) for name in layer}
    arrows = page.find_imports()
    assert not [pair for pair in arrows if rank[pair[0]] >= rank[pair[1]]]


def test_importing_starts_no_device():
    """Processes join, and platforms are chosen, after the imports and before the first array."""
    code = (
        "import importlib, pkgutil, fedbrain\n"
        "from jax._src import xla_bridge\n"
        "for module in pkgutil.walk_packages(fedbrain.__path__, 'fedbrain.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        try:\n"
        "            importlib.import_module(module.name)\n"
        "        except ModuleNotFoundError as error:\n"  # of an extra that is not installed
        "            assert not error.name.startswith('fedbrain'), error\n"
        "        assert not xla_bridge.backends_are_initialized(), module.name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
