"""Huge pages: asked for once, by our own programs only, where the system leaves it to programs."""

import os
import sys
from types import SimpleNamespace

import pytest

from fedbrain import cli


@pytest.mark.parametrize(
    ("name", "setting", "tunables", "expected"),
    [
        ("fedbrain.main", "always [madvise] never", "", cli.TUNABLE),
        (
            "fedbrain.main",
            "always [madvise] never",
            "glibc.malloc.arena_max=2",
            f"glibc.malloc.arena_max=2:{cli.TUNABLE}",
        ),
        ("fedbrain.main", "always [madvise] never", cli.TUNABLE, None),
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
    monkeypatch.setattr(cli, "HUGE_PAGES", path)
    monkeypatch.setattr(os, "execv", lambda program, arguments: begun.append((program, arguments)))
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name=name))
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    cli.huge_pages()
    assert begun == ([(sys.executable, sys.orig_argv)] if expected else [])
    assert os.environ["GLIBC_TUNABLES"] == (expected or tunables)
