"""The real engine: processes over mutual TLS on loopback, real files. Slow: pytest -m slow
tests/deploy/test_network.py.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("nvflare", reason="needs the extra deploy")
from tests.faults.consortium import (
    LEAD,
    ROOT,
    SITES,
    Consortium,
    make_trees,
    simulate,
    status,
    wait_for,
)
from tests.faults.relay import Relay

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]  # processes are killed, not closed
RULES = {
    "FedAvg": {},
    "coordinate median with FedAdam": {
        "server__aggregator": "median()",
        "server__optimizer": "fedadam(0.01)",
    },
    "SCAFFOLD": {"algorithm": "scaffold()"},
    "sum under masks": {"server__aggregator": "masked_mean()", "trainable": "only_head()"},
    "FedBN": {"server__sharing": "without_batch_norm()"},
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees") / "trees"
    make_trees(folder)
    return folder


def _consortium(folder, trees, **how):
    folder.mkdir(exist_ok=True)
    (folder / "trees").symlink_to(trees, target_is_directory=True)
    return Consortium(folder, **how)


@pytest.fixture(scope="module")
def consortium(trees, tmp_path_factory):
    made = _consortium(tmp_path_factory.mktemp("consortium"), trees, own_keys=("birch",))
    rights = (
        made.kit("server") / "local/authorization.json"
    )  # a server that would let anything through: sites decide
    rights.write_text(rights.read_text().replace('"byoc": "none"', '"byoc": "any"'))
    made.start()
    yield made
    made.stop()


def _finish(made, workdir, seconds=400, **how):
    workdir.mkdir(parents=True, exist_ok=True)
    supervisor = made.run(workdir, log=workdir / "log.txt", **how)
    try:
        supervisor.wait(timeout=seconds)
    finally:
        supervisor.kill()
        supervisor.wait()
    assert (workdir / "results.json").is_file(), (workdir / "log.txt").read_text()[-3000:]
    return json.loads((workdir / "results.json").read_text())


@pytest.mark.parametrize("rule", RULES)
def test_the_model_over_the_network_is_the_simulated_one(consortium, trees, rule, tmp_path):
    found = _finish(consortium, tmp_path / "run", rounds=3, **RULES[rule])
    expected = simulate(trees, tmp_path / "simulated", rounds=3, **RULES[rule])
    if rule != "FedBN":
        assert found["variables_sha256"] == expected["variables_sha256"]["federated/repeat0-split0"]
    folder = next(
        f for f in consortium.kit("server").glob("fedbrain/*") if f.resolve() == tmp_path / "run"
    ).name
    for name in SITES:
        line = [
            sys.executable,
            "-m",
            "fedbrain.export",
            f"--workdir={tmp_path / 'simulated'}",
            f"--client={name}",
        ]
        subprocess.run(
            [*line, f"--output={tmp_path / name}.safetensors"],
            cwd=ROOT,
            check=True,
            env=consortium.environment(),
        )
        ours = load_file(consortium.kit(name) / "fedbrain" / folder / "model.safetensors")
        theirs = load_file(tmp_path / f"{name}.safetensors")
        assert set(ours) == set(theirs)
        for key, value in ours.items():
            np.testing.assert_array_equal(value, theirs[key])
        accuracy = expected["regimes"]["federated"]["clients"][name]
        assert found["clients"][name]["mae"] == pytest.approx(accuracy["mae"], abs=1e-12)
        assert found["clients"][name]["mae_95"] == pytest.approx(accuracy["mae_95"], abs=1e-12)
        kit = consortium.kit(name)
        line = [sys.executable, "-m", "fedbrain.deploy.site", "status", f"--kit={kit}"]
        said = subprocess.run(
            [*line, f"--joined={tmp_path / 'run/joined.jsonl'}"],
            cwd=ROOT, check=True, env=consortium.environment(), capture_output=True, text=True,
        )  # fmt: skip
        assert "1 ends of the record, signed at joining, are in it." in said.stdout


def test_images_harmonised_over_the_network_are_those_of_the_simulation(
    consortium, trees, tmp_path
):
    """Voxel-wise ComBat of synthetic scans: the model, and the errors of every site."""
    how = {
        "harmonise": "voxelwise('target')",
        "prepare": "registered(voxel_size_mm=9.0, shape=(20, 24, 20))",
    }
    found = _finish(consortium, tmp_path / "run", rounds=2, **how)
    expected = simulate(trees, tmp_path / "simulated", rounds=2, **how)
    assert found["variables_sha256"] == expected["variables_sha256"]["federated/repeat0-split0"]
    plain = simulate(trees, tmp_path / "plain", rounds=2, prepare=how["prepare"])
    assert plain["variables_sha256"] != expected["variables_sha256"]
    for name in SITES:
        theirs = expected["regimes"]["federated"]["clients"][name]
        assert found["clients"][name]["mae"] == pytest.approx(theirs["mae"], abs=1e-12)
        lines = (consortium.kit(name) / "fedbrain/audit.jsonl").read_text().splitlines()
        kinds = [json.loads(line)["kind"] for line in lines]
        assert {"averaged", "squared", "shifted"} <= set(kinds)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_run_from_a_model_of_the_network_is_the_simulated_one(
    consortium, trees, elsewhere, tmp_path
):
    """Also by a lead who has nothing of the server's; another seed, since it is another run."""
    where = {"elsewhere": elsewhere, "seed": int(elsewhere)}
    _finish(consortium, tmp_path / "run", rounds=2, **where)
    simulate(trees, tmp_path / "simulated", rounds=2, seed=int(elsewhere))
    found, expected = (
        run(
            tmp_path / f"{name}_second",
            rounds=2,
            trainable="only_head()",
            initial=f"run({str(tmp_path / name)!r}, head=False)",
        )
        for name, run in {
            "run": lambda folder, **how: _finish(consortium, folder, **where, **how),
            "simulated": lambda folder, **how: simulate(trees, folder, seed=int(elsewhere), **how),
        }.items()
    )
    assert found["variables_sha256"] == expected["variables_sha256"]["federated/repeat0-split0"]
    assert not list(consortium.kit("server").glob("jobs/*/*"))  # jobs that are over are removed


def test_each_sites_own_model_on_every_sites_people_is_tested_as_in_the_simulation(trees, tmp_path):
    made = _consortium(tmp_path / "consortium", trees)
    for name in SITES:
        path = made.kit(name) / "local/site.toml"
        path.write_text(path.read_text().replace("pooled_sums", "crossed = true\npooled_sums"))
    made.start()
    regimes = {"regimes": "('federated', 'local')"}
    try:
        found = _finish(made, tmp_path / "run", rounds=2, crossed=True, **regimes)
    finally:
        made.stop()
    expected = simulate(trees, tmp_path / "simulated", rounds=2, **regimes)["crossed"]
    assert set(found["crossed"]) == {f"local-{name}" for name in SITES}
    for model, rows in found["crossed"].items():
        for name, row in rows.items():
            for key in ("n", "subjects", "mae", "rmse"):
                assert row[key] == pytest.approx(expected[model][name][key], rel=1e-12)


def test_several_splits_over_the_network_are_the_simulated_ones(consortium, trees, tmp_path):
    how = {"regimes": "('federated', 'local')", "splits__repeats": 2, "splits__inner": 2}
    workdir = tmp_path / "run"
    workdir.mkdir()
    supervisor = consortium.run(workdir, log=workdir / "log.txt", rounds=2, **how)
    wait_for(lambda: status(workdir).get("round", 0) >= 3, seconds=300)  # in the second split
    assert consortium.kill("birch", "job") + consortium.kill("server", "job") >= 2
    supervisor.wait(timeout=900)
    found = json.loads((workdir / "results.json").read_text())
    expected = simulate(trees, tmp_path / "simulated", rounds=2, **how)
    models = expected["variables_sha256"]
    assert found["variables_sha256"] == {k: v for k, v in models.items() if "federated" in k}
    for rows, regime in (("clients", "federated"), ("alone", "local")):
        for name in SITES:
            theirs = expected["regimes"][regime]["clients"][name]
            own = {key: found[rows][name][key] for key in ("n", "subjects", "mae", "rmse", "r2")}
            assert own == {key: theirs[key] for key in own}


def test_sites_behind_one_port_are_told_apart_by_their_certificates(trees, tmp_path):
    made = _consortium(tmp_path / "consortium", trees)
    relay = Relay(made.port)  # one address and port for all of them
    for name in SITES:
        made.find_server_at(name, relay.port)
    made.start()
    try:
        found = _finish(made, tmp_path / "run", rounds=2)
    finally:
        made.stop()
    expected = simulate(trees, tmp_path / "simulated", rounds=2)
    assert found["variables_sha256"] == expected["variables_sha256"]["federated/repeat0-split0"]
    assert set(found["clients"]) == set(SITES)


def _submit(made, folder, change):
    """(state, what the server's side says, logs of the sites and of the engine) of a job that was
    changed on its way.
    """
    from fedbrain.configs.quickstart import get_config
    from fedbrain.deploy.nvflare.session import Lead
    from fedbrain.deploy.server_side.submit import write_job

    config = get_config()
    config.rounds, config.regimes, config.describe = 2, ("federated",), ()
    config.driver, config.residence = "loop()", "streamed()"
    config.seed = os.getpid() + len(
        list(made.kit("server").glob("fedbrain/*"))
    )  # an experiment of its own
    target = "sdmt" if change == "target" else "age"
    workdir = made.kit("server") / write_job(
        folder, config.to_dict(), target, list(SITES), fewest=3, deadline_s=60
    )
    path = folder / "app/config/config_fed_client.json"
    told = json.loads(path.read_text())
    if change == "python":
        (folder / "app/custom").mkdir()
        (folder / "app/custom/evil.py").write_text("print('here')\n")
    elif change == "class":
        told["executors"][0]["executor"] = {
            "path": "nvflare.app_common.np.np_trainer.NPTrainer",
            "args": {},
        }
    elif change == "hash":
        told["executors"][0]["executor"]["args"]["job"]["config"]["client"]["batch_size"] = 3
    elif change == "policy":
        told["executors"][0]["executor"]["args"]["job"]["config"]["client"]["batch_size"] = 64
    elif change == "algorithm":
        told["executors"][0]["executor"]["args"]["job"]["config"]["algorithm"] = "mimelite()"
    path.write_text(json.dumps(told))
    lead = Lead(made.kit(LEAD))
    wait_for(lambda: len(lead.sites()) == 3, seconds=60, every=1)
    job = lead.submit(folder)
    state = wait_for(
        lambda: (s := lead.state(job)).startswith("FINISHED") and s, seconds=120, every=1
    )
    lead.close()
    logs = "".join(
        p.read_text() for name in ("server", *SITES) for p in made.kit(name).rglob("log.txt")
    )
    said = status(workdir)
    return state, f"{said.get('problem', '')} {said.get('refused', {})}", logs


@pytest.mark.parametrize(
    ("change", "at_the_server", "at_the_sites"),
    [
        ("python", "", "cedar: NVFLARE_ERROR: BYOC not permitted"),
        ("class", "", "ComponentNotAuthorized"),
        (
            "target",
            "target: expected one that this site consents to, age, got 'sdmt'",
            "got 'sdmt'",
        ),
        ("hash", "config: expected", "fedbrain: refused: config: expected"),
        ("algorithm", "expected one that this site allows, fedavg, scaffold", "got 'mimelite'"),
        ("policy", "expected at most 8 at this site, got 64", "expected at most 8 at this site"),
    ],
)
def test_a_site_refuses_a_job_that_it_did_not_agree_to(
    consortium, change, at_the_server, at_the_sites, tmp_path
):
    state, said, logs = _submit(consortium, tmp_path / "job", change)
    assert state != "FINISHED:COMPLETED"
    assert at_the_server in said
    assert at_the_sites in logs


def test_a_withdrawn_site_stays_out_and_a_readmitted_one_comes_back(consortium):
    from fedbrain.deploy.nvflare.session import Lead

    lead = Lead(consortium.kit(LEAD))
    wait_for(lambda: "cedar" in lead.sites(), seconds=60, every=1)
    lead.withdraw("cedar")
    consortium.kill("cedar", "parent")
    for _ in range(20):  # it starts again, and knocks
        time.sleep(1)
        assert "cedar" not in lead.sites()
    lead.readmit("cedar")
    wait_for(lambda: "cedar" in lead.sites(), seconds=120, every=1)
    lead.close()


def _questions(made, name):
    """Messages that a site received, by its own record."""
    path = made.kit(name) / "fedbrain/audit.jsonl"
    return [line for line in path.read_text().splitlines() if '"direction": "in"' in line]


def test_who_is_withdrawn_while_a_job_runs_is_in_no_further_round(consortium, tmp_path):
    from fedbrain.deploy.nvflare.session import Lead
    from fedbrain.deploy.site_side.withdrawal import take_part, withdraw

    workdir, lead = tmp_path / "run", Lead(consortium.kit(LEAD))
    workdir.mkdir()
    how = {"rounds": 8, "fewest": 1, "seed": 77}
    supervisor = consortium.run(workdir, log=workdir / "log.txt", **how)
    try:
        wait_for(lambda: status(workdir).get("round", 0) >= 2, seconds=300)
        lead.withdraw("cedar")
        withdraw(consortium.kit("birch"))
        now = wait_for(
            lambda: (s := status(workdir)).get("left_out", {}).keys() >= {"birch", "cedar"} and s,
            seconds=120,
        )
        heard = _questions(consortium, "cedar")
        job = json.loads((workdir / "job.json").read_text())
        wait_for(lambda: status(workdir).get("round", 0) >= now["round"] + 2, seconds=120)
        assert json.loads((workdir / "job.json").read_text()) == job  # the same job goes on
        assert _questions(consortium, "cedar") == heard
        assert now["left_out"]["cedar"] == "refused: the lead withdrew this site"
        assert "refused: this site withdrew from everything" in now["left_out"]["birch"]
        supervisor.wait(timeout=300)
    finally:
        supervisor.kill()
        lead.readmit("cedar")
        take_part(consortium.kit("birch"))
        lead.close()
    results = json.loads((workdir / "results.json").read_text())
    assert list(results["clients"]) == ["amber"]


def test_nothing_that_names_people_or_places_is_on_the_wire_or_at_the_server(trees, tmp_path):
    home, outside = tmp_path / "canaryhome", tmp_path / "outside"
    outside.mkdir()
    made = _consortium(home, trees)
    for name in ("server", LEAD):
        made.move(name, outside / name)
    made.speak_plainly()
    relays = [Relay(made.port, record=tmp_path / f"wire_{name}") for name in SITES]
    for name, relay in zip(SITES, relays):
        made.find_server_at(name, relay.port)
    made.start("server")
    made.start(*SITES, env={"USER": "canaryuser", "LOGNAME": "canaryuser"})
    try:
        results = _finish(made, outside / "run", rounds=2)
    finally:
        made.stop()
    assert results["rounds"] == 2
    wire = b"".join((tmp_path / f"wire_{name}").read_bytes() for name in SITES)
    assert wire.count(b"FBW1") >= 3 * 5  # it is all there to be read
    people = sorted({p.name for p in trees.glob("*/sub-*")})
    words = [
        w.encode()
        for w in ["canaryuser", "canaryhome", "participants.tsv", "_T1w", str(trees), *people]
    ]
    kept = b"".join(
        p.read_bytes() for p in outside.rglob("*") if p.is_file() and not p.is_symlink()
    )
    assert len(people) > 30
    assert [w for w in words if w in wire] == []
    assert [w for w in words if w in kept] == []
