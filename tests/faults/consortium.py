"""A server, three sites and a supervisor as separate processes over mutual TLS on loopback, to be
killed and cut off.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.small_site import site_toml

ROOT = Path(__file__).parents[2]
SITES = ("amber", "birch", "cedar")
LEAD = "lead@example.org"
ALLOW = """[allow]
loss = ["l1"]
algorithm = ["fedavg", "scaffold"]
harmonise = ["voxelwise"]
[start]
runs = true
"""
FIELDS = {  # one configuration for the consortium and for the simulation
    "config": "configs/quickstart.py",
    "config.regimes": "('federated',)",
    "config.describe": "()",  # not between hospitals yet
    "config.driver": "loop()",
    "config.residence": "streamed()",
}


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_trees(folder: Path, *, healthy: int = 30) -> None:
    """Synthetic BIDS trees, one a site."""
    if not folder.exists():
        how = [f"--out={folder}", f"--healthy={healthy}", "--seed=1"]
        subprocess.run(
            [sys.executable, "-m", "fedbrain.synthesise", *how],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )


class Consortium:
    """Kits in a folder, and the processes that run on them."""

    def __init__(
        self,
        folder: Path,
        *,
        sites: tuple[str, ...] = SITES,
        host: str = "localhost",
        own_keys: tuple[str, ...] = (),
    ):
        """Makes the kits.

        Args:
          folder: of everything; its `trees` folder holds a BIDS tree per site.
          sites: names.
          host: name of the server.
          own_keys: sites that make their keys themselves.
        """
        from fedbrain.deploy.nvflare.kits import provision
        from fedbrain.deploy.nvflare.own_key import install, request

        self.folder, self.sites, self.host, self.port = folder, sites, host, free_port()
        self.keepers: dict[str, subprocess.Popen] = {}
        self.moved: dict[str, Path] = {}
        plan = {
            "name": "faults",
            "server": {"host": host, "port": self.port, "organisation": "Consortium"},
            "lead": LEAD,
            "sites": dict.fromkeys(sites, "Hospital"),
        }
        for name in own_keys:
            self.moved[name] = folder / "hospitals" / name
            request(self.moved[name], name)
            (folder / "requests").mkdir(exist_ok=True)
            shutil.copy(self.moved[name] / f"request/{name}.csr", folder / "requests")
        provision(plan, folder, folder / "requests" if own_keys else None)
        for name in own_keys:
            install(self.moved[name], folder / "kits" / name)
        make_trees(folder / "trees")
        for name in sites:
            tree = folder / "trees" / name
            text = site_toml(name, tree, subjects=5, tested=3, more=ALLOW)
            (self.kit(name) / "local/site.toml").write_text(text, encoding="utf-8")

    def kit(self, name: str) -> Path:
        """Folder of a site's kit, the server's or the lead's."""
        return self.moved.get(name, self.folder / "kits" / name)

    def move(self, name: str, to: Path) -> None:
        """Puts a kit elsewhere, before anything starts."""
        self.kit(name).rename(to)
        self.moved[name] = to

    def find_server_at(self, site: str, port: int) -> None:
        """Changes where a site looks for the server."""
        path = self.kit(site) / "startup/fed_client.json"
        told = json.loads(path.read_text())
        told["servers"][0]["service"]["target"] = f"{self.host}:{port}"
        path.write_text(json.dumps(told))

    def speak_plainly(self) -> None:
        """No TLS, so that a relay sees what is said. Only to look for what must not be."""
        for name in ("server", *self.sites, LEAD):
            for path in (self.kit(name) / "startup").glob("fed_*.json"):
                path.write_text(path.read_text().replace('"mtls"', '"clear"'))

    def start(
        self, *names: str, env: dict[str, str] | None = None, within: tuple[str, ...] = ()
    ) -> None:
        """Starts the kept processes of kits; all of them when none is named.

        Args:
          names: of kits.
          env: added to the environment.
          within: a command that runs commands, such as `ip netns exec NAME`.
        """
        for name in names or ("server", *self.sites):
            what = ("server", "listen") if name == "server" else ("site", "join")
            line = [*within, str(ROOT / "launch/keep.sh"), str(self.kit(name)), *what]
            self.keepers[name] = subprocess.Popen(
                line, env=self.environment(env), start_new_session=True
            )

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """For a process on the CPU, with this Python first on the path."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "JAX_PLATFORMS": "cpu", **(more or {})}

    def run(
        self,
        workdir: Path,
        *,
        rounds: int,
        log: Path,
        fewest: int = 3,
        elsewhere: bool = False,
        crossed: bool = False,
        **fields: str,
    ) -> subprocess.Popen:
        """Starts the supervisor, at the server or, without the server's kit, elsewhere."""
        line = [
            sys.executable,
            "-m",
            "fedbrain.deploy.server",
            "run",
            *([] if elsewhere else [f"--kit={self.kit('server')}"]),
            f"--lead={self.kit(LEAD)}",
            f"--workdir={workdir}",
            "--target=age",
            f"--sites={','.join(self.sites)}",
            f"--fewest={fewest}",
            "--deadline_s=600",
            *(["--crossed"] if crossed else []),
            *flags(rounds=rounds, **fields),
        ]
        with log.open("ab") as out:
            how = {"cwd": ROOT, "env": self.environment(), "start_new_session": True}
            return subprocess.Popen(line, stdout=out, stderr=subprocess.STDOUT, **how)

    def processes(self, name: str, kind: str) -> list[int]:
        """Process ids of a kit: kind "parent", or "job" for those that run a job."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    if str(self.kit(name)) in words and "-m" in words:
                        modules = [w for w in words if w.startswith("nvflare.private.fed.app.")]
                        is_job = any(
                            w.endswith(("runner_process", "worker_process")) for w in modules
                        )
                        if modules and is_job == (kind == "job"):
                            found.append(int(entry.name))
        return found

    def kill(self, name: str, kind: str) -> int:
        """kill -9; how many processes there were."""
        pids = self.processes(name, kind)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def stop(self, *names: str) -> None:
        """Ends keepers and what they keep."""
        for name in names or tuple(self.keepers):
            keeper = self.keepers.pop(name)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()
            for kind in ("parent", "job"):
                self.kill(name, kind)


def flags(**fields: object) -> list[str]:
    """Of an entry point: the shared configuration and changes of it."""
    told = {**FIELDS, **{f"config.{k.replace('__', '.')}": v for k, v in fields.items()}}
    return [f"--{name}={value}" for name, value in told.items()]


def simulate(trees: Path, workdir: Path, *, rounds: int, **fields: str) -> dict:
    """The same experiment in one process; its results."""
    sites = [f"--config.sites.{name}=bids({str(trees / name)!r})" for name in SITES]
    line = [
        sys.executable,
        "-m",
        "fedbrain.main",
        f"--workdir={workdir}",
        *flags(rounds=rounds, **fields),
        *sites,
    ]
    subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((workdir / "results.json").read_text())


def wait_for(what, *, seconds: float, every: float = 0.2):
    """The first true value of what(); TimeoutError when there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = what()
        if value:
            return value
        time.sleep(every)
    raise TimeoutError(f"nothing after {seconds} s")


def status(workdir: Path) -> dict:
    """What the server's side is doing."""
    with contextlib.suppress(OSError, json.JSONDecodeError):
        return json.loads((workdir / "status.json").read_text())
    return {}
