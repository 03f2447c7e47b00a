"""Settings of the process: flags of XLA for the installed jaxlib."""

import gc
import importlib.metadata
import os
import re
from pathlib import Path

import pytest

from fedbrain.cli import process


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


@pytest.mark.parametrize(("first", "then"), [(700, 10_000), (20_000, 20_000), (0, 0)])
def test_garbage_is_searched_for_seldom_unless_a_user_chose(first, then):
    before = gc.get_threshold()
    try:
        gc.set_threshold(first)
        process.search_garbage_seldom()
        assert gc.get_threshold()[0] == then
    finally:
        gc.set_threshold(*before)
