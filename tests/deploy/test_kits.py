"""Kits of a consortium: what they allow is what a hospital agrees to; a renewal keeps the
authority.
"""

import json
import shutil

import pytest

pytest.importorskip("nvflare", reason="needs the extra deploy")

from cryptography import x509
from nvflare.lighter.utils import load_private_key_file, sign_folders

from fedbrain.deploy.nvflare.consortium_file import read_consortium
from fedbrain.deploy.nvflare.engine_process import command
from fedbrain.deploy.nvflare.hardening import harden
from fedbrain.deploy.nvflare.kits import provision
from fedbrain.deploy.nvflare.session import Lead
from fedbrain.deploy.nvflare.signed_job import require_signed_by_lead
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.deploy.server_side.submit import write_job
from fedbrain.deploy.site_side.checks import (
    account,
    certificate,
    disk,
    server,
    settings,
)
from fedbrain.deploy.site_side.dry_run import dry_run
from fedbrain.deploy.site_side.people_check import people
from tests.experiment_under_test import config
from tests.test_launch import HOSPITAL

pytestmark = pytest.mark.filterwarnings("ignore")  # the engine's own


@pytest.fixture(scope="module")
def kits(tmp_path_factory, hospitals):
    """Folder of a consortium's kits, with a tree and settings for the first site."""
    folder = tmp_path_factory.mktemp("consortium")
    provision(read_consortium(HOSPITAL / "consortium.yaml"), folder)
    text = (HOSPITAL / "site.toml").read_text().replace("/data/brussels", str(hospitals / "amber"))
    for least in ("minimum_subjects = 20", "minimum_validation_subjects = 10"):
        text = text.replace(least, f"{least.split()[0]} = 1")  # ten synthetic people
    for least in ("local_steps = 3", "people_in_a_step = 2"):
        text = text.replace(least, f"{least.split()[0]} = 1")
    (folder / "kits/brussels/local/site.toml").write_text(text)
    return folder / "kits"


def test_the_folder_of_a_leads_kit_may_have_any_name(kits, tmp_path):
    shutil.copytree(kits / "lead@example.org", tmp_path / "lead")
    assert Lead(tmp_path / "lead").name == "lead@example.org"
    with pytest.raises(ValueError, match=r"--lead: expected the folder of a lead's kit, with"):
        Lead(kits / "brussels")


def test_everybody_gets_a_kit_and_the_key_of_the_authority_stays(kits):
    assert {p.name for p in kits.iterdir()} == {
        "server",
        "lead@example.org",
        "brussels",
        "greifswald",
        "prague",
    }
    assert not list(kits.rglob("cert.json"))
    assert (kits / "brussels/startup/client.key").stat().st_mode & 0o077 == 0 or (
        kits / "brussels/startup"
    ).stat().st_mode & 0o077 == 0


def test_a_site_runs_one_class_of_ours_and_opens_nothing(kits):
    told = json.loads((kits / "brussels/local/resources.json").read_text())
    assert told["class_allow_list"] == ["fedbrain.deploy.nvflare.site.Hospital"]
    assert told["class_list_enforcement_mode"] == "enforce"
    assert told["allow_log_streaming"] is False
    assert not [c for c in told["components"] if "log" in c["path"].lower()]
    rights = json.loads((kits / "brussels/local/authorization.json").read_text())["permissions"]
    for right in ("byoc", "shell_commands", "download_job", "operate", "app_command"):
        assert {role[right] for role in rights.values()} == {"none"}


@pytest.mark.parametrize("signer", ["lead@example.org", "server", "brussels", None])
def test_a_site_takes_a_job_that_the_lead_signed_and_no_other(kits, signer, tmp_path):
    """So that whoever has the server's key, or another site's, submits nothing."""
    job = tmp_path / "app"
    (job / "config").mkdir(parents=True)
    (job / "config/config_fed_client.json").write_text("{}")
    if signer is not None:
        [key] = (kits / signer / "startup").glob("*.key")
        sign_folders(str(job), load_private_key_file(str(key)), str(key.with_suffix(".crt")))
    if signer == "lead@example.org":
        require_signed_by_lead(job, kits / "greifswald")
        (job / "config/config_fed_client.json").write_text('{"another": "job"}')
        sentence = "expected files that the consortium's lead signed, got others"
    else:
        sentence = "expected the signature of the consortium's lead|expected files that"
    with pytest.raises(Refused, match=sentence):
        require_signed_by_lead(job, kits / "greifswald")


def test_check_says_what_is_ready_and_what_is_not(kits, tmp_path):
    kit = kits / "brussels"
    assert settings(kit) == "brussels, targets age, at least 1 training subjects"
    assert people(kit) == "10 people for age"
    assert "days" in certificate(kit)
    assert account(kit) == "No message yet."
    assert "GB free" in disk(kit)
    with pytest.raises(ValueError, match=r"^fl.example.org:8002 does not answer \("):
        server(kit)
    resources = kit / "local/resources.json"
    before = resources.read_text()
    resources.write_text(before.replace("fedbrain.deploy.nvflare.site.Hospital", "os.system"))
    with pytest.raises(ValueError, match="expected the settings of a site's kit, got wider ones"):
        settings(kit)
    resources.write_text(before)


def test_a_dry_run_writes_the_bytes_of_the_first_round(kits, tmp_path):
    fields = config(tmp_path / "x", rounds=2, regimes=("federated",))
    fields.driver, fields.residence = "loop()", "streamed()"
    write_job(
        tmp_path / "job",
        fields.to_dict(),
        "age",
        ["brussels", "greifswald", "prague"],
        fewest=2,
        deadline_s=60,
    )
    said = dry_run(kits / "brussels", tmp_path / "job", tmp_path / "bytes")
    data = (tmp_path / "bytes").read_bytes()
    assert f"the {len(data)} bytes" in said
    assert unpack(data, limit=10**8).envelope.kind == "update"
    assert not [p for p in kits.joinpath("brussels").iterdir() if p.name.startswith("tmp")]


def test_the_engine_is_started_with_the_kit_wherever_it_lies(kits):
    line = command(kits / "server")
    assert line[3] == "nvflare.private.fed.app.server.server_train"
    assert "org=Example_University" in line
    assert "uid=brussels" in command(kits / "brussels")
    told = json.loads((kits / "server/local/resources.json").read_text())
    [manager] = [c for c in told["components"] if c["id"] == "job_manager"]
    assert manager["args"]["uri_root"] == str(kits / "server/jobs")


def test_a_renewal_keeps_the_authority_and_the_old_kits(tmp_path):
    plan = read_consortium(HOSPITAL / "consortium.yaml")
    provision(plan, tmp_path)
    first = {p.name: p.read_bytes() for p in (tmp_path / "kits/brussels/startup").iterdir()}
    plan["sites"]["oslo"] = "Hospital D"
    provision(plan, tmp_path)
    again = {p.name: p.read_bytes() for p in (tmp_path / "kits/brussels/startup").iterdir()}
    assert first["rootCA.pem"] == again["rootCA.pem"]
    assert (tmp_path / "kits/oslo/startup/client.crt").is_file()
    old, new = (x509.load_pem_x509_certificate(x["client.crt"]) for x in (first, again))
    assert old.serial_number != new.serial_number  # it is renewed, not handed out again
    assert first["client.key"] != again["client.key"]
    root = x509.load_pem_x509_certificate(again["rootCA.pem"])
    for shown in (old, new):  # sites with old kits stay in until all have theirs
        shown.verify_directly_issued_by(root)
    state = next((tmp_path / "authority").glob("*/state/cert.json"))
    assert state.stat().st_mode & 0o077 == 0
    assert (tmp_path / "kits.1/brussels").is_dir()
    harden(tmp_path / "kits/oslo", "site")  # twice is as good as once


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: [", "expected a YAML file"),
        ("name: a", "expected the keys name, server, lead, sites, got"),
        (
            "name: a\nserver: {host: x}\nlead: l\nsites: {b: c}",
            "server: expected host, port and organisation, got",
        ),
        (
            "name: a\nserver: {host: x, port: 1, organisation: o}\nlead: l\nsites: {B x: c}",
            "expected names of small letters",
        ),
        ("name: a\nserver: 3\nlead: l\nsites: {b: c}", "server: expected dict, got 3"),
    ],
)
def test_a_consortium_that_cannot_be_read_is_told_of(tmp_path, text, sentence):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_consortium(tmp_path / "c.yaml")
