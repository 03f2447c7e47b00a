"""The paper's whole study between hospitals, as separate processes over mutual TLS: brain age, then
SDMT deep, from scratch and shallow; each site approves it once.
"""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from fedbrain.deploy.protocol.job import folder_name
from fedbrain.deploy.protocol.study import study_hash
from fedbrain.deploy.site_side.approval import approve
from fedbrain.experiments import grid
from fedbrain.experiments.site_tables import tables
from tests.deploy.study_config import SITES, get_config
from tests.faults import consortium

OPENED = """baselines = ["linear"]
describe = ["histogram"]
report_by = ["histogram"]
[columns]
age = "age"
"""
CONFIG = Path(consortium.ROOT) / "tests/deploy/study_config.py"


class Study:
    """A consortium whose sites have scores, and the command that runs the grid."""

    def __init__(self, folder: Path, *, seeds: int = 2, rounds: int = 2, elsewhere: bool = False):
        """Makes trees and kits.

        Args:
          folder: of everything.
          seeds: of the grid.
          rounds: of every experiment.
          elsewhere: whether the command has nothing of the server's.
        """
        self.folder, self.seeds, self.rounds, self.elsewhere = folder, seeds, rounds, elsewhere
        self.workdir, self.trees = folder / "study", folder / "trees"
        how = [f"--out={self.trees}", "--healthy=12", "--ms=24", "--seed=1"]
        program = [sys.executable, "-m", "fedbrain.synthesise", *how]
        subprocess.run(program, cwd=consortium.ROOT, check=True, stdout=subprocess.DEVNULL)
        self.made = consortium.Consortium(folder)
        for name in SITES:  # a person approves; no first model is accepted but the study's own
            path = self.made.kit(name) / "local/site.toml"
            text = path.read_text().replace("approval = false", "approval = true")
            text = text.replace("[start]\nruns = true\n", OPENED)
            path.write_text(text + '[targets.sdmt]\ncolumn = "sdmt_total"\n')

    def command(self) -> subprocess.Popen:
        """Starts the command of the centre; given again, it goes on."""
        line = [sys.executable, "-m", "fedbrain.deploy.hospital_grid", f"--config={CONFIG}"]
        line += [f"--config.seeds={self.seeds}", f"--config.first.rounds={self.rounds}"]
        line += [f"--config.second.rounds={self.rounds}", "--fewest=3", "--deadline_s=600"]
        line += [] if self.elsewhere else [f"--kit={self.made.kit('server')}"]
        line += [f"--lead={self.made.kit(consortium.LEAD)}"]
        line += [f"--workdir={self.workdir}", "--target=age", "--rows_target=sdmt"]
        with (self.folder / "log.txt").open("ab") as log:
            how = {"cwd": consortium.ROOT, "env": self.made.environment(), "stdout": log}
            sites = f"--sites={','.join(SITES)}"
            return subprocess.Popen([*line, sites], stderr=subprocess.STDOUT, **how)

    def at_server(self, path: Path) -> Path:
        """Where the server works on the experiment of a folder."""
        if not self.elsewhere:
            return path
        told = json.loads((path / "job/app/config/config_fed_server.json").read_text())
        return (
            self.made.kit("server") / "fedbrain" / folder_name(told["workflows"][0]["args"]["job"])
        )

    def approve(self) -> None:
        """A person at every site approves the study, once for all that follows."""
        job = self.workdir / "first/seed0/job"
        consortium.wait_for((job / "meta.json").is_file, seconds=200)
        hash = study_hash(json.loads((self.workdir / "study.json").read_text()))
        for name in SITES:
            approve(self.made.kit(name), hash, job)

    def experiments(self) -> list[Path]:
        """Work directories of the experiments, in their order."""
        rows = ("first", "deep", "scratch", "shallow")
        return [self.workdir / row / f"seed{k}" for k in range(self.seeds) for row in rows]

    def finished(self) -> list[Path]:
        """Those that are over."""
        return [path for path in self.experiments() if (path / "results.json").is_file()]

    def differences(self) -> list[str]:
        """What differs from the simulated grid: lines of the tables, models."""
        config = get_config(str(self.trees), str(self.folder / "cache"))
        config.seeds, config.first.rounds, config.second.rounds = self.seeds, *[self.rounds] * 2
        simulated = self.folder / "simulated"
        with contextlib.redirect_stdout(None):
            grid.run(config, simulated)
        ours, theirs = list(tables(self.workdir)), list(tables(simulated))
        differ = [f"{a!r}, not {b!r}" for a, b in zip(ours, theirs) if a != b]
        differ += ["another number of lines"] if len(ours) != len(theirs) else []
        for path in self.experiments():
            where, k = path.relative_to(self.workdir), int(path.name[-1])
            found, expected = (
                json.loads((folder / where / "results.json").read_text())
                for folder in (self.workdir, simulated)
            )
            name = f"federated/repeat{k}-split0"
            if found["variables_sha256"] != expected["variables_sha256"][name]:
                differ.append(f"the model of {where}")
            if found["data"] != expected["data"]:
                differ.append(f"the cohorts of {where}")
        return differ
