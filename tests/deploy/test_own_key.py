"""A hospital makes its key itself: the centre gets a request, gives a certificate, and never has
the key, also when it renews.
"""

import json
import shutil

import pytest

pytest.importorskip("nvflare", reason="needs the extra deploy")

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from fedbrain.deploy.nvflare.consortium_file import read_consortium
from fedbrain.deploy.nvflare.identity import identity_of
from fedbrain.deploy.nvflare.kits import provision
from fedbrain.deploy.nvflare.own_key import install, request
from fedbrain.deploy.nvflare.requests import fingerprint, keep_requests, read_request
from fedbrain.deploy.site_side.checks import certificate
from tests.test_launch import HOSPITAL

pytestmark = pytest.mark.filterwarnings("ignore")  # the engine's own
PLAN = HOSPITAL / "consortium.yaml"


class Centre:
    """The machine of the lead, and the folder of requests that came to it."""

    def __init__(self, folder):
        self.folder, self.requests = folder / "centre", folder / "requests"

    def provision(self, *sites):
        """Kits, with the requests that these sites made."""
        self.requests.mkdir(exist_ok=True)
        for site in sites:
            for path in site.glob("request/*.csr"):
                shutil.copy(path, self.requests / path.name)
        made = provision(read_consortium(PLAN), self.folder, self.requests if sites else None)
        return {path.name: key for path, key in made.items()}

    def kit(self, name="brussels"):
        return self.folder / "kits" / name

    def holds(self, key):
        """Whether a private key, or its number, is anywhere on this machine."""
        secret = load_pem_private_key(key, password=None)
        numbers = [load_pem_private_key(k, password=None) for k in self._keys()]
        return any(k.private_numbers() == secret.private_numbers() for k in numbers)

    def _keys(self):
        for path in self.folder.rglob("*"):
            if path.suffix == ".key":
                yield path.read_bytes()
            if path.name == "cert.json":
                text = json.dumps(json.loads(path.read_text()))
                for part in text.split("-----BEGIN")[1:]:
                    if "PRIVATE" in part[:30]:
                        pem = "-----BEGIN" + part.split('"')[0].replace("\\n", "\n")
                        yield pem.encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(the centre, a hospital's folder, what each was told of the key)"""
    folder = tmp_path_factory.mktemp("own_key")
    centre, site = Centre(folder), folder / "hospital"
    told = request(site, "brussels")
    fingerprints = centre.provision(site)
    installed = install(site, centre.kit())
    return centre, site, told, fingerprints, installed


def test_the_key_is_made_at_the_hospital_and_is_nowhere_else(made):
    centre, site, told, fingerprints, installed = made
    assert told.endswith(f"Read this to the centre by telephone: {fingerprints['brussels']}")
    assert fingerprints == {
        "server": "", "lead@example.org": "", "greifswald": "", "prague": "",
        "brussels": fingerprints["brussels"],
    }  # fmt: skip
    key = site / "startup/client.key"
    assert key.stat().st_mode & 0o077 == 0
    assert not list(centre.kit().rglob("*.key"))
    assert not centre.holds(key.read_bytes())
    assert centre.holds((centre.kit("prague") / "startup/client.key").read_bytes())
    assert "installed; the certificate is valid until 20" in installed
    assert not (site / "request").exists()
    assert (site / "local/authorization.json").is_file()


def test_the_certificate_is_one_as_the_others_have(made):
    centre, site, *_ = made
    own, other = (
        x509.load_pem_x509_certificate((kit / "startup/client.crt").read_bytes())
        for kit in (site, centre.kit("prague"))
    )
    assert {e.oid for e in own.extensions} == {e.oid for e in other.extensions}
    assert own.issuer == other.issuer
    assert "days" in certificate(site)
    identity = identity_of(site)  # signs, and the others know it
    identity_of(centre.kit("prague")).verify(
        "brussels", identity.certificate, identity.sign(b"data"), b"data"
    )


def test_a_renewal_keeps_the_key_at_the_site_with_a_new_key_or_the_old_one(made):
    centre, site, *_ = made
    before = (site / "startup/client.key").read_bytes()
    (site / "local/site.toml").write_text("mine")
    serial = x509.load_pem_x509_certificate((site / "startup/client.crt").read_bytes())
    assert centre.provision()["brussels"]  # the request is known
    install(site, centre.kit())
    renewed = x509.load_pem_x509_certificate((site / "startup/client.crt").read_bytes())
    assert renewed.serial_number != serial.serial_number
    assert (site / "startup/client.key").read_bytes() == before
    told = request(site, "brussels")
    assert told == request(site, "brussels")  # asked again: the same key
    assert (site / "startup/client.key").read_bytes() == before  # at work until the kit comes
    centre.provision(site)
    install(site, centre.kit())
    after = (site / "startup/client.key").read_bytes()
    assert after != before
    assert not centre.holds(after)
    assert (site / "local/site.toml").read_text() == "mine"
    assert sorted(p.name for p in site.iterdir()) == ["local", "startup"]


def test_only_the_kit_that_belongs_to_the_key_is_installed(made, tmp_path):
    centre, site, *_ = made
    before = {p: p.read_bytes() for p in site.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match="expected a kit without a key"):
        install(site, centre.kit("prague"))
    shutil.copytree(centre.kit("prague"), tmp_path / "prague")
    (tmp_path / "prague/startup/client.key").unlink()
    with pytest.raises(ValueError, match="expected the key of the certificate that was received"):
        install(site, tmp_path / "prague")
    other = Centre(tmp_path)
    provision(read_consortium(PLAN), other.folder, None)
    other.requests.mkdir()
    shutil.copy(centre.requests / "brussels.csr", other.requests)
    provision(read_consortium(PLAN), other.folder, other.requests)
    with pytest.raises(ValueError, match="expected the authority of .*, got another one"):
        install(site, other.kit())
    (other.kit() / "startup/rootCA.pem").write_bytes((site / "startup/rootCA.pem").read_bytes())
    with pytest.raises(ValueError, match="expected a certificate and the authority that signed it"):
        install(site, other.kit())
    assert {p: p.read_bytes() for p in site.rglob("*") if p.is_file()} == before


def _csr(path, name, key):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def test_a_request_that_is_none_makes_no_certificate(tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = _csr(tmp_path / "prague.csr", "prague", key)
    assert fingerprint(read_request(good)) == fingerprint(key.public_key())
    cases = {
        "expected a request that oslo signed": _csr(tmp_path / "oslo.csr", "prague", key),
        "expected an RSA key": _csr(
            tmp_path / "a.csr", "a", ec.generate_private_key(ec.SECP256R1())
        ),
        "expected an RSA key of at least 2048 bits": _csr(
            tmp_path / "b.csr", "b", rsa.generate_private_key(public_exponent=65537, key_size=1024)
        ),
        "expected a request for a certificate, got": tmp_path / "gone.csr",
    }
    for sentence, path in cases.items():
        with pytest.raises(ValueError, match=sentence):
            read_request(path)
    with pytest.raises(ValueError, match="expected a request of one of prague, got one of 'a'"):
        keep_requests(tmp_path, tmp_path / "kept", ["prague"])
    assert not (tmp_path / "kept").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected requests, NAME.csr, got none"):
        keep_requests(tmp_path / "empty", tmp_path / "kept", ["prague"])
