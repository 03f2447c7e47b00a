"""Faults of what a site holds and of what it is asked: every one must be refused by the site, in
words, before a round.
"""

import gzip
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from unittest import mock

from fedbrain.data.synthetic.write import write_cohort
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import Policy, read_policy
from tests.experiment_under_test import config
from tests.faults.campaign import Injection
from tests.small_site import site_toml

LIMIT = 10_000_000


def make_site(folder: Path) -> tuple[Policy, dict]:
    """A BIDS tree with its `site.toml`, and a job that it accepts; uses trees that are there."""
    if not (folder / "trees").exists():
        write_cohort(folder / "trees", healthy=10, ms=0, seed=5)
    path = folder / "site.toml"
    allow = '[allow]\nloss = ["l1", "huber"]\n'
    path.write_text(site_toml("amber", folder / "trees/amber", more=allow))
    fields = config(folder / "x", rounds=2, regimes=("federated",))
    fields.driver, fields.residence = "loop()", "streamed()"
    shared = {
        name: value for name, value in fields.to_dict().items() if name not in ("sites", "cache")
    }
    job = {"config": shared, "target": "age", "sites": ["amber", "birch", "cedar"]}
    return read_policy(path), json.loads(json.dumps(job))


def _a_scan(rng: Random, root: Path) -> Path:
    return rng.choice(sorted(root.rglob("*_T1w.nii.gz")))


def _corrupt(rng: Random, root: Path) -> None:
    path = _a_scan(rng, root)
    data = bytearray(path.read_bytes())
    data[rng.randrange(20, len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def _cut_short(rng: Random, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(9999)])


def _other_numbers(rng: Random, root: Path) -> None:
    path = _a_scan(rng, root)
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[352 + rng.randrange(len(data) - 352) // 4 * 4 + 3 - 352 % 4] ^= 0x40
    path.write_bytes(gzip.compress(bytes(data)))


def _relabel(rng: Random, root: Path) -> None:
    table = root / "participants.tsv"
    lines = table.read_text().splitlines()
    column = lines[0].split("\t").index("age")
    row = rng.randrange(1, len(lines))
    cells = lines[row].split("\t")
    cells[column] = str(float(cells[column]) + 1)
    lines[row] = "\t".join(cells)
    table.write_text("\n".join(lines) + "\n")


DATA: dict[str, Callable[[Random, Path], None]] = {
    "corrupt NIfTI: a bit of the compressed file": _corrupt,
    "corrupt NIfTI: cut short": lambda rng, root: _cut_short(rng, _a_scan(rng, root)),
    "changed data: other voxels": _other_numbers,
    "changed data: a scan less": lambda rng, root: _a_scan(rng, root).unlink(),
    "changed data: another label": _relabel,
    "changed data: no table": lambda rng, root: (root / "participants.tsv").unlink(),
}
JOBS: dict[str, Callable[[dict], dict]] = {
    "tampered configuration: larger batches": lambda job: _with(
        job, "client", {**job["config"]["client"], "batch_size": 64}
    ),
    "tampered configuration: paths of its own": lambda job: _with(
        job, "sites", {"amber": "bids('/etc')"}
    ),
    "tampered configuration: a loss off the list": lambda job: _with(job, "loss", "l2()"),
    "a target without consent": lambda job: {**job, "target": "sdmt"},
    "a covariate that is not opened": lambda job: _with(
        job, "covariates", ["zscore('weight', 70, 10)"]
    ),
    "code in a field": lambda job: _with(job, "loss", "__import__('os').system('true')"),
    "a field too many": lambda job: {**job, "code": "print(1)"},
    "another consortium": lambda job: {**job, "sites": ["birch", "cedar"]},
}


def _with(job: dict, field: str, value: object) -> dict:
    return {**job, "config": {**job["config"], field: value}}


def _refusal(act: Callable[[], object]) -> str:
    try:
        act()
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def data_faults(folder: Path, count: int, *, seed: int = 0) -> list[Injection]:
    """At least `count` faults. A change that the data do not show (the same numbers after it)
    counts as exact.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng, (policy, job) = Random(seed), make_site(folder)
    workdir, backup = folder / "work", folder / "backup"
    workdir.mkdir()
    first = join(policy, job, workdir=workdir, limit=LIMIT)
    shutil.copytree(policy.root, backup)
    done, kinds = [], [*DATA, *JOBS, "clock skew"]
    for k in range(max(count, len(kinds))):
        kind = kinds[k % len(kinds)]
        if kind in DATA:
            DATA[kind](rng, policy.root)
            told = _refusal(lambda: join(policy, job, workdir=workdir, limit=LIMIT))
            shutil.rmtree(policy.root)
            shutil.copytree(backup, policy.root)
        elif kind in JOBS:
            told = _refusal(
                lambda kind=kind: join(policy, JOBS[kind](job), workdir=workdir, limit=LIMIT)
            )
        else:
            with mock.patch.object(time, "time", return_value=rng.uniform(0, 4e9)):
                told = _refusal(lambda: join(policy, job, workdir=workdir, limit=LIMIT))
        done.append(Injection(kind, told, exact=bool(told) or kind == "clock skew"))
    again = join(policy, job, workdir=workdir, limit=LIMIT)
    if again.declared != first.declared:
        raise RuntimeError("the restored site is not the one that there was")
    return done
