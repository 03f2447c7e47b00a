"""What `launch/` says exists: commands, files, keys. Units are read by systemd's own reader where
there is one.
"""

import os
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
        r"(?:launch|docs|configs)/[\w/@.-]+\.(?:sh|sbatch|md|yaml|toml|conf|service|py|gpu|def)",
        path.read_text(),
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


def test_no_container_of_the_server_holds_the_leads_key():
    services = pytest.importorskip("yaml").safe_load((HOSPITAL / "compose.yaml").read_text())
    volumes = {name: service["volumes"] for name, service in services["services"].items()}
    assert volumes["server"] == ["./kit:/kit"]
    assert {"site", "server", "lead"} == set(volumes)


def test_shell_scripts_parse():
    launch = ROOT / "launch"
    for path in launch.glob("*.sbatch"):
        subprocess.run(["bash", "-n", str(path)], check=True)
    for path in launch.glob("*.sh"):
        subprocess.run(["bash", "-n", str(path)], check=True)
        assert path.stat().st_mode & 0o100, path


def test_every_script_has_a_row_in_the_table():
    text = (ROOT / "launch/README.md").read_text()
    scripts = {p.name for p in (ROOT / "launch").iterdir() if p.is_file()}
    hospitals = {"README.md", "keep.sh", "local.sh"}
    assert {name for name in scripts - hospitals if f"launch/{name}" not in text} == set()


SRUN = """#!/usr/bin/env bash
[ "$1" = --wait=120 ] && shift
exec "$@"
"""


@pytest.mark.parametrize(
    ("code", "requeued"), [(0, 0), (1, 0), (2, 0), (75, 1), (130, 1), (137, 1)]
)
@pytest.mark.parametrize(
    ("name", "command"), [("slurm", "main"), ("slurm_array", "grid"), ("slurm_array", "compare")]
)
def test_slurm_scripts_requeue_what_another_start_mends(tmp_path, name, command, code, requeued):
    """With stand-ins for SLURM's commands: the exit code of the run decides."""
    stand_ins = {
        "srun": SRUN,
        "scontrol": f'#!/usr/bin/env bash\necho "$@" >> {tmp_path}/requeued\n',
        "python": f'#!/usr/bin/env bash\necho "$@" >> {tmp_path}/calls\nexit {code}\n',
    }
    for program, text in stand_ins.items():
        (tmp_path / program).write_text(text)
        (tmp_path / program).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CONFIG": "configs/quickstart.py",
        "COMMAND": command,
        "WORKDIR": str(tmp_path / "run"),
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    script = ["bash", str(ROOT / f"launch/{name}.sbatch"), "--config.rounds=3"]
    assert subprocess.run(script, env=environment, capture_output=True).returncode == code
    calls = (tmp_path / "calls").read_text()
    assert f"-m fedbrain.{command} --config=" in calls
    assert f"--workdir={tmp_path}/run --config.rounds=3" in calls
    assert (tmp_path / "requeued").is_file() == (code > 2)
    environment["SLURM_RESTART_COUNT"] = "20"
    (tmp_path / "requeued").unlink(missing_ok=True)
    subprocess.run(script, env=environment, capture_output=True)
    assert not (tmp_path / "requeued").exists()
