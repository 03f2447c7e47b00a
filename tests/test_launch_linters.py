"""Scripts, images and jobs of `launch/`, read by the linters of their kinds (extra `test`)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LAUNCH = ROOT / "launch"
SCRIPTS = [*LAUNCH.rglob("*.sh"), *LAUNCH.rglob("*.sbatch"), ROOT / ".ci/run"]
IMAGES = [path for path in LAUNCH.rglob("Dockerfile*") if path.is_file()]
JOBS = sorted(LAUNCH.glob("gke_*.yaml"))


def linter(name):
    """Beside this Python, or on the path; the linters are built for Linux on x86-64."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"needs {name}: pip install -e '.[test]'")
    return found


def complaints(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_shellcheck_has_nothing_to_say_about_scripts(path):
    assert complaints(linter("shellcheck"), str(path)) == ""


@pytest.mark.parametrize("path", IMAGES, ids=named)
def test_hadolint_has_nothing_to_say_about_images(path):
    assert complaints(linter("hadolint"), "--no-color", str(path)) == ""


def workers(path):
    """A JobSet, its only group of pods, and the container of a pod."""
    jobset = yaml.safe_load(path.read_text())
    (group,) = jobset["spec"]["replicatedJobs"]
    (container,) = group["template"]["spec"]["template"]["spec"]["containers"]
    return jobset, group, container


@pytest.mark.parametrize("path", JOBS, ids=named)
def test_the_job_of_a_jobset_is_one_of_kubernetes(path):
    """JobSet itself is an extension, whose own fields the schemas of Kubernetes do not have."""
    validator = pytest.importorskip("kubernetes_validate")
    _, group, _ = workers(path)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "workers"}}
    validator.validate(job | group["template"], validator.latest_version(), strict=True)


@pytest.mark.parametrize("path", JOBS, ids=named)
def test_pods_of_a_jobset_are_told_how_many_they_are_and_where_the_first_is(path):
    """JobSet names the pods JOBSET-GROUP-0-0 and so on, in the domain JOBSET."""
    jobset, group, container = workers(path)
    name, job = jobset["metadata"]["name"], group["template"]["spec"]
    told = {variable["name"]: variable["value"] for variable in container["env"]}
    assert job["completions"] == job["parallelism"] == int(told["JAX_NUM_PROCESSES"])
    port = container["ports"][0]["containerPort"]
    assert told["JAX_COORDINATOR_ADDRESS"] == f"{name}-{group['name']}-0-0.{name}:{port}"
