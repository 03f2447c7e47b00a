"""Who may connect: certificates that are wrong, foreign, expired or withdrawn, and plain text, at a
real server's port.
"""

import datetime
import socket
import ssl
from pathlib import Path

from tests.faults.campaign import Injection
from tests.faults.consortium import Consortium, wait_for

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex(
    "000000040000000000"
)  # of HTTP/2, with empty settings


def forge(folder: Path, *, authority: Path | None, name: str, days: int) -> tuple[Path, Path]:
    """A key and a certificate.

    Args:
      folder: for the two files.
      authority: folder with `cert.json` of a consortium's authority; None: signed by itself.
      name: of the subject.
      days: from now until it expires.
    """
    import json

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signer = subject, key
    if authority is not None:
        told = json.loads((authority / "cert.json").read_text())
        issuer = x509.load_pem_x509_certificate(told["root_cert"].encode()).subject
        signer = serialization.load_pem_private_key(told["root_pri_key"].encode(), None)
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    since = until - datetime.timedelta(days=400)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
        .sign(signer, hashes.SHA256())
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "c.crt", folder / "c.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain
    )
    paths[1].write_bytes(pem)
    return paths


def knock(port: int, root: Path, certificate: tuple[Path, Path] | None) -> str:
    """Why the server closes the door; empty when it opens. A server that checks late says so at the
    first read.
    """
    context = ssl.create_default_context(cafile=str(root))
    context.set_alpn_protocols(["h2"])
    if certificate is not None:
        context.load_cert_chain(*certificate)
    try:
        plain = socket.create_connection(("localhost", port), timeout=10)
        with plain, context.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(HELLO)
            return "" if s.recv(9) else "closed without a word"
    except (ssl.SSLError, OSError) as error:
        return str(error) or type(error).__name__


def speak_plainly(port: int) -> str:
    """Why plain text is not heard."""
    try:
        with socket.create_connection(("localhost", port), timeout=10) as s:
            s.sendall(HELLO)
            return "" if s.recv(9)[3:4] == b"\x04" else "closed without a word"
    except OSError as error:
        return str(error) or type(error).__name__


def certificate_faults(folder: Path, count: int) -> list[Injection]:
    """At least `count` knocks at a real server's door. `exact`: it stayed closed, and still opens
    for a real site.
    """
    consortium, other = Consortium(folder / "a"), Consortium(folder / "b")
    authority = next((folder / "a/authority").rglob("cert.json")).parent
    startup = consortium.kit("amber") / "startup"
    root, own = startup / "rootCA.pem", (startup / "client.crt", startup / "client.key")
    foreign = other.kit("amber") / "startup"
    cards: dict[str, tuple[Path, Path] | None] = {
        "no certificate": None,
        "certificate: signed by itself": forge(
            folder / "self", authority=None, name="amber", days=99
        ),
        "certificate: of another consortium": (foreign / "client.crt", foreign / "client.key"),
        "certificate: expired": forge(folder / "old", authority=authority, name="amber", days=-1),
    }
    consortium.start("server")
    done, kinds = [], [*cards, "plain text"]
    try:
        wait_for(lambda: not knock(consortium.port, root, own), seconds=60)
        for k in range(max(count, len(kinds))):
            kind = kinds[k % len(kinds)]
            told = (
                speak_plainly(consortium.port)
                if kind == "plain text"
                else knock(consortium.port, root, cards[kind])
            )
            done.append(
                Injection(kind, told, exact=bool(told) and not knock(consortium.port, root, own))
            )
    finally:
        consortium.stop()
    return done
