"""A key that a hospital makes itself, and that never leaves it: the site's side. `request` makes
the key and the request that goes to the centre; `install` puts the kit that comes back beside it.

A renewal is the same two steps: with a new key, or with `install` alone under the present one.
"""

# The engine is an extra: `pip install -e '.[deploy]'`; it brings `cryptography`.

import datetime
import os
import shutil
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fedbrain.deploy.nvflare.requests import fingerprint

BITS = 3072  # of a new key: about 128 bits of security (NIST SP 800-57)
# folders of a kit that may hold the key: asked for, at work, and while an installation is under way
PENDING, STARTUP, NEW, OLD = "request", "startup", "startup.new", "startup.old"


def request(kit: Path, name: str) -> str:
    """Makes a key, and the request for its certificate; asked again, the same key is requested.

    Args:
      kit: of the site; a new folder, or a kit whose certificate is to be renewed.
      name: of the site in the consortium.

    Returns:
      Sentences: where the request is, and the key's fingerprint.
    """
    folder = kit / PENDING
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "client.key"
    if not path.is_file():
        made = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    key: Any = load_pem_private_key(path.read_bytes(), password=None)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    (folder / f"{name}.csr").write_bytes(signed.public_bytes(Encoding.PEM))
    return (
        f"{folder / f'{name}.csr'}: send this file to the centre. The key stays in {folder}.\n"
        f"Read this to the centre by telephone: {fingerprint(key.public_key())}"
    )


def install(kit: Path, received: Path) -> str:
    """Puts a kit that the centre sent beside the key that was made here. Settings in `local` stay
    where there are any.

    Args:
      kit: folder with the key, as `request` left it or at work.
      received: folder of the kit that the centre sent.

    Returns:
      A sentence.

    Raises:
      ValueError: when the kit holds a key, its certificate is not of a key of this folder, or it is
        of another authority or another time.
    """
    certificate = _checked(received / STARTUP, kit / STARTUP)
    key = _key_of(kit, certificate)
    new, old = kit / NEW, kit / OLD
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(received / STARTUP, new)
    new.chmod(0o700)
    with os.fdopen(os.open(new / "client.key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(key)
    if not (kit / "local").is_dir():
        shutil.copytree(received / "local", kit / "local")
    if (kit / STARTUP).is_dir():
        (kit / STARTUP).rename(old)
    new.rename(kit / STARTUP)
    for folder in (old, kit / PENDING):
        shutil.rmtree(folder, ignore_errors=True)
    return (
        f"{kit}: installed; the certificate is valid until"
        f" {certificate.not_valid_after_utc:%Y-%m-%d}. Restart the site's process."
    )


def _checked(received: Path, present: Path) -> x509.Certificate:
    """The certificate of a kit that may be installed."""
    if list(received.parent.rglob("*.key")):
        raise ValueError(
            f"{received.parent}: expected a kit without a key, since this site makes its own, got"
            " one with a key. Ask the centre for one that was made from your request."
        )
    try:
        certificate = x509.load_pem_x509_certificate((received / "client.crt").read_bytes())
        root = x509.load_pem_x509_certificate((received / "rootCA.pem").read_bytes())
        certificate.verify_directly_issued_by(root)
    except (OSError, ValueError, TypeError, InvalidSignature) as error:
        raise ValueError(
            f"{received}: expected a certificate and the authority that signed it, got:"
            f" {error or type(error).__name__}."
        ) from None
    now = datetime.datetime.now(datetime.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ValueError(
            f"{received / 'client.crt'}: expected one that is valid today, got another."
        )
    old = present / "rootCA.pem"
    if old.is_file() and x509.load_pem_x509_certificate(old.read_bytes()) != root:
        raise ValueError(
            f"{received / 'rootCA.pem'}: expected the authority of {old}, got another one. If the"
            f" consortium has a new one, remove {present} first."
        )
    return certificate


def _key_of(kit: Path, certificate: x509.Certificate) -> bytes:
    """The key of a certificate, from wherever in the kit it is."""
    for folder in (PENDING, STARTUP, NEW, OLD):
        path = kit / folder / "client.key"
        if path.is_file():
            data = path.read_bytes()
            if load_pem_private_key(data, password=None).public_key() == certificate.public_key():
                return data
    raise ValueError(
        f"{kit}: expected the key of the certificate that was received, got none or another. Send"
        " the request that `fedbrain site request` makes, and install what comes back."
    )
