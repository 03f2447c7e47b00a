"""Settings of the process: huge pages, and flags of XLA for the installed jaxlib."""

import importlib.metadata
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedbrain.cli import process


@pytest.mark.parametrize(
    ("name", "setting", "tunables", "expected"),
    [
        ("fedbrain.main", "always [madvise] never", "", process.TUNABLE),
        (
            "fedbrain.main",
            "always [madvise] never",
            "glibc.malloc.arena_max=2",
            f"glibc.malloc.arena_max=2:{process.TUNABLE}",
        ),
        ("fedbrain.main", "always [madvise] never", process.TUNABLE, None),
        ("fedbrain.main", "[always] madvise never", "", None),
        ("fedbrain.main", "", "", None),
        ("pytest.__main__", "always [madvise] never", "", None),
    ],
)
def test_a_program_starts_anew_at_most_once(
    monkeypatch, tmp_path, name, setting, tunables, expected
):
    begun = []
    path = tmp_path / "enabled"
    if setting:
        path.write_text(setting)
    monkeypatch.setattr(process, "HUGE_PAGES", path)
    monkeypatch.setattr(os, "execv", lambda program, arguments: begun.append((program, arguments)))
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name=name))
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    process.huge_pages()
    assert begun == ([(sys.executable, sys.orig_argv)] if expected else [])
    assert os.environ["GLIBC_TUNABLES"] == (expected or tunables)


def test_every_tested_jaxlib_has_a_row():
    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text()
    assert set(re.findall(r"^jaxlib==([^;\s]+)", constraints, re.M)) == set(process.CPU_FLAGS)


def test_the_installed_jaxlib_was_measured():
    """A new version: measure `lax.conv_general_dilated` with and without the flag, add its row."""
    assert importlib.metadata.version("jaxlib") in process.CPU_FLAGS


def test_the_flag_of_the_installed_jaxlib_is_set():
    assert process.cpu_flag(importlib.metadata.version("jaxlib")) in os.environ["XLA_FLAGS"]


def test_an_unmeasured_jaxlib_is_no_secret():
    with pytest.warns(UserWarning, match=r"not with 0\.1\.0: CPU convolutions may be slow"):
        assert process.cpu_flag("0.1.0") == ""
