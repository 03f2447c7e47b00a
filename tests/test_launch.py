"""What `launch/` says exists: commands, files, keys. Units are read by systemd's own reader where
there is one.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fedbrain.deploy.site_side.policy import read_policy

ROOT = Path(__file__).parents[1]
HOSPITAL = ROOT / "launch/hospital"
TEXTS = [p for p in (ROOT / "launch").rglob("*") if p.is_file()]


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_modules_that_are_called_exist(path):
    for module in re.findall(
        r"(?:-m |\")(fedbrain\.[a-z_.]*[a-z])\b(?!\.\$)", path.read_text(encoding="utf-8")
    ):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), module


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_files_that_are_named_exist(path):
    for name in re.findall(
        r"(?:launch|docs|configs)/[\w/@.-]+\.(?:sh|md|yaml|toml|conf|service|py)", path.read_text()
    ):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("path", sorted(HOSPITAL.glob("*.service")), ids=lambda p: p.name)
def test_units_are_units(path, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    text = path.read_text().replace("/srv/fedbrain/venv/bin/python", shutil.which("true") or "")
    (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / path.name)], capture_output=True, text=True
    )
    complaints = [
        line
        for line in done.stderr.splitlines()
        if path.name in line and "fedbrain-server.service" not in line
    ]
    assert not complaints


def test_the_example_of_a_site_is_a_policy():
    policy = read_policy(HOSPITAL / "site.toml")
    assert policy.minimum_subjects == 20
    assert policy.targets == {"age": "age"}


def test_shell_scripts_parse():
    for path in (ROOT / "launch").glob("*.sh"):
        subprocess.run(["bash", "-n", str(path)], check=True)
        assert path.stat().st_mode & 0o100, path
