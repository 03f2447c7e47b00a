"""What a round costs between hospitals: python -m benchmarks.deployment --sites=3,8,16 --rounds=6.

The server's side is the real one, with DenseNet-121, 45 MB in 606 arrays; sites answer at once.
Rounds take turns in float32, bfloat16 and int8, so that a noisy machine is as noisy for each.
Beside them: the engine's floor (a model of 70 kB), and the same bytes copied down and up over plain
loopback sockets. Peak memory of the server's job process, above what it had after the first round,
in models, by what it was doing: a cohort and two more is the bound. Needs the extra `deploy`.
"""

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import jax
from absl import app, flags

from benchmarks.deployment_site import CODINGS, numbers
from fedbrain import cli
from fedbrain.configs import quickstart
from fedbrain.deploy.protocol.codec import encode
from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.wire import schema
from fedbrain.deploy.server_side.submit import write_job
from fedbrain.experiments.workdir import write_json
from tests.faults.consortium import LEAD, Consortium, status, wait_for

MODEL = "densenet121()"
PREPARE = "conform(voxel_size_mm=6.0, shape=(32, 32, 32), mask='nonzero')"  # 29 or more
FOLDER = flags.DEFINE_string("folder", "", "Work folder; by default a temporary one.")
SITES = flags.DEFINE_list("sites", ["3", "8", "16"], "How many sites.")
ROUNDS = flags.DEFINE_integer("rounds", 9, "Rounds, a third of them in each coding.")


def loopback(total: int, pairs: int) -> float:
    """Seconds to copy so many bytes down and then up, on so many connections at a time."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(bytes(total))
            left = total
            while left > 0:
                left -= len(connection.recv(1 << 20))
            connection.sendall(b"k")

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(pairs)]
    servers = [threading.Thread(target=serve, args=(x,)) for x in listeners]
    code = (
        "import socket, sys\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "n = left = int(sys.argv[2])\n"
        "while left > 0: left -= len(s.recv(1 << 20))\n"
        "s.sendall(bytes(n))\n"
        "s.recv(1)"
    )
    for thread in servers:
        thread.start()
    began = time.monotonic()
    clients = [
        subprocess.Popen([sys.executable, "-c", code, str(x.getsockname()[1]), str(total)])
        for x in listeners
    ]
    for process in clients:
        process.wait()
    seconds = time.monotonic() - began
    for thread, listener in zip(servers, listeners):
        thread.join()
        listener.close()
    return seconds


def memory(pid: int, field: str) -> float:
    """Bytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(field))


class Peaks(threading.Thread):
    """Looks every 10 ms how much memory a process has, and what the run was doing then."""

    def __init__(self, pid: int, workdir: Path):
        super().__init__(daemon=True)
        self.pid, self.workdir, self.over = pid, workdir, threading.Event()
        self.at_start, self.found = memory(pid, "VmRSS"), {}

    def run(self) -> None:
        """Until `over`, or the process is gone."""
        with contextlib.suppress(OSError, StopIteration):
            while not self.over.wait(0.01):
                doing = status(self.workdir)["doing"]
                self.found[doing] = max(self.found.get(doing, 0.0), memory(self.pid, "VmRSS"))


def round_or_problem(workdir: Path) -> bool:
    """Whether the first round is over; raises RuntimeError when the job is, too."""
    require_no_problem(workdir)
    return status(workdir).get("round") == 1


def require_no_problem(workdir: Path) -> None:
    """Raises RuntimeError with the sentence that ended a job."""
    told = status(workdir)
    if told.get("problem"):
        raise RuntimeError(f"the job ended: {told['problem']}; left out: {told.get('left_out')}")


def measure(folder: Path, count: int, config: Any, rounds: int) -> dict:
    """One consortium."""
    names = tuple(f"site{k:02d}" for k in range(count))
    (folder / "trees").mkdir(parents=True)
    made = Consortium(folder, sites=names)
    config.rounds, config.regimes, config.driver, config.residence = (
        rounds,
        ("federated",),
        "loop()",
        "streamed()",
    )
    write_job(folder / "job", config.to_dict(), "age", list(names), fewest=count, deadline_s=1200)
    path = folder / "job/app/config/config_fed_client.json"
    told = json.loads(path.read_text())
    agreement = agree(told["executors"][0]["executor"]["args"]["job"])
    sizes = {k: sum(x.size for x in jax.tree.leaves(v)) for k, v in agreement.terms.answer.items()}
    facts = {
        "sizes": sizes,
        "schema": schema(agreement.terms.answer),
        "metrics": list(agreement.terms.metrics),
    }
    told["executors"][0]["executor"] = {
        "path": "benchmarks.deployment_site.Echo",
        "args": {"told": facts},
    }
    write_json(path, told)
    for name in names:
        resources = made.kit(name) / "local/resources.json"
        allowed = json.loads(resources.read_text())
        write_json(resources, {**allowed, "class_allow_list": ["benchmarks.deployment_site.Echo"]})
    made.start(env={"PYTHONPATH": str(Path(__file__).parents[1])})
    from fedbrain.deploy.nvflare.session import Lead

    lead = Lead(made.kit(LEAD))
    wait_for(lambda: len(_quietly(lead)) == count, seconds=300, every=1)
    lead.submit(folder / "job")
    lead.close()
    try:
        [workdir] = wait_for(lambda: list(made.kit("server").glob("fedbrain/*")), seconds=300)
        wait_for(lambda: round_or_problem(workdir), seconds=1200, every=0.05)  # it has compiled
        [pid] = made.processes("server", "job")
        peaks = Peaks(pid, workdir)
        peaks.start()
        wait_for(
            lambda: (workdir / "results.json").is_file() or status(workdir).get("problem"),
            seconds=3000,
            every=0.2,
        )
        peaks.over.set()
        require_no_problem(workdir)
    finally:
        made.stop()
    lines = [
        json.loads(line)
        for line in (workdir / "runs/federated/repeat0-split0/metrics.jsonl")
        .read_text()
        .splitlines()
    ]
    by_coding = {
        c: [x["seconds"]["update"] for x in lines if CODINGS[(x["round"] - 1) % 3] == c][1:]
        for c in CODINGS
    }
    down = [x["seconds"]["validated"] for x in lines][1:]
    total = 4 * sum(sizes.values())
    copies = [loopback(total, count) for _ in range(3)]
    sent = {c: sum(len(encode(numbers(n, c))[1]) for n in sizes.values()) / 1e6 for c in CODINGS}
    return {
        "sites": count,
        "model_MB": total / 1e6,
        "update_s": by_coding,
        "model_s": down,
        "loopback_s": copies,
        "peak_models": {k: (v - peaks.at_start) / total for k, v in peaks.found.items()},
        "bound_models": count + 2,
        "start_models": peaks.at_start / total,
        "sent_MB": sent,
    }


def _quietly(lead) -> dict:
    try:
        return lead.sites()
    except ConnectionError:
        return {}


def spread(values: list[float]) -> str:
    """Median and range."""
    return (
        f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
        if values
        else "n/a"
    )


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    cli.configure()
    for count in SITES.value:
        with tempfile.TemporaryDirectory(dir=FOLDER.value or None) as folder:
            floor = measure(
                Path(folder) / "floor", int(count), quickstart.get_config(), ROUNDS.value
            )
            config = quickstart.get_config()
            config.model, config.prepare = MODEL, PREPARE
            m = measure(Path(folder) / "real", int(count), config, ROUNDS.value)
        print(json.dumps(m), flush=True)
        print(f"{count} sites, model {m['model_MB']:.1f} MB; seconds, median (range)")
        print(
            f"  model down, sums up: {spread(m['model_s'])}; plain loopback, down and up:"
            f" {spread(m['loopback_s'])}"
        )
        idle = [x for coding in CODINGS for x in floor["update_s"][coding]]
        print(
            f"  the engine's floor: model down {spread(floor['model_s'])}; update up {spread(idle)}"
        )
        for coding in CODINGS:
            megabytes = f"{m['sent_MB'][coding]:.1f} MB a site"
            print(
                f"  order down, update up in {coding}, {megabytes}: {spread(m['update_s'][coding])}"
            )
        told = ", ".join(f"{doing} {models:.1f}" for doing, models in m["peak_models"].items())
        print(
            f"  peak memory above the start, in models: {told}; bound {m['bound_models']}",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
