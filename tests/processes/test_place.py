"""Where a process stands: by flags, SLURM, Open MPI, Kubernetes or Cloud TPU."""

import pytest

from fedbrain.processes.place import ALONE, Place, own_devices, read_place

SLURM = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
MPI = {
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}
KUBERNETES = {
    "JAX_COORDINATOR_ADDRESS": "fedbrain-workers-0-0.fedbrain:1234",
    "JAX_NUM_PROCESSES": "2",
    "JOB_COMPLETION_INDEX": "1",
}
TPU = {"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "2"}


def test_flags_stand_before_the_environment():
    place = Place("host:1", 2, 0)
    assert read_place(place, SLURM) == place
    assert read_place(Place(processes=1), SLURM) is None


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),  # a batch script, without srun
        ({"JOB_COMPLETION_INDEX": "3"}, None),  # an array of jobs on Kubernetes
        (SLURM, Place("", 4, 3)),
        (KUBERNETES, Place("fedbrain-workers-0-0.fedbrain:1234", 2, 1)),
        (TPU, Place("", 4, 2)),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
    ],
)
def test_environments(environment, place):
    assert read_place(ALONE, environment) == place


def test_open_mpi_on_one_host_agrees_on_a_port():
    one, two = (
        read_place(ALONE, MPI | {"OMPI_COMM_WORLD_RANK": k, "PMIX_NAMESPACE": "job1"}) for k in "01"
    )
    assert one.coordinator == two.coordinator
    assert one.coordinator.startswith("localhost:")
    assert (one.process, two.process) == (0, 1)
    other = read_place(ALONE, MPI | {"PMIX_NAMESPACE": "job2"})
    assert other.coordinator != one.coordinator


def test_open_mpi_on_several_hosts_needs_the_first_ones_address():
    hosts = MPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}
    with pytest.raises(ValueError, match="JAX_COORDINATOR_ADDRESS: expected HOST:PORT"):
        read_place(ALONE, hosts)
    address = {"JAX_COORDINATOR_ADDRESS": "node1:1234"}
    assert read_place(ALONE, hosts | address) == Place("node1:1234", 2, 1)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (Place(processes=2), "expected all three"),
        (Place("host:1", 2), "expected all three"),
        (Place("host", 2, 0), "expected HOST:PORT, got 'host'"),
        (Place("host:1", 2, 2), "a number from 0 to 1, got 2"),
    ],
)
def test_incomplete_places_are_refused(flags, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_place(flags, {})


@pytest.mark.parametrize(
    ("environment", "devices"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, [0, 1]),  # one process with two
        # one process on a host takes all, several take one each, of all or of the one they see
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1(x4)", "CUDA_VISIBLE_DEVICES": "0,1"}, [0, 1]),
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "2(x2)", "CUDA_VISIBLE_DEVICES": "0,1"}, [1]),
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "2(x2)", "CUDA_VISIBLE_DEVICES": "1"}, [0]),
        (MPI | {"CUDA_VISIBLE_DEVICES": "0,1"}, [1]),
    ],
)
def test_own_devices(environment, devices):
    assert own_devices(environment) == devices
