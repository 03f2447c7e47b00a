"""Commands that tests run in their own process leave nothing behind."""

import sys

from tests.programs import run_program


def test_bytecode_that_checks_annotations_is_not_kept_under_the_usual_name(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    assert run_program("fedbrain.synthesise", "-h").returncode == 0
    assert not list(tmp_path.rglob(f"synthesise.{sys.implementation.cache_tag}.pyc"))
    assert sys.dont_write_bytecode is False
