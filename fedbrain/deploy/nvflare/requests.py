"""Requests for a certificate, for keys that hospitals make themselves: the lead's side. The key
stays at the hospital; its request (CSR) names the site and holds the public key, and nothing else
of it is taken over.

A request is kept with the authority, so that a renewal needs no new one.
"""

# The engine is an extra: `pip install -e '.[deploy]'`; it brings `cryptography`.
# pyright: reportMissingImports=false

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nvflare.lighter.constants import CertFileBasename
from nvflare.lighter.entity import Participant
from nvflare.lighter.impl.cert import CertBuilder
from nvflare.lighter.spec import ProvisionContext
from nvflare.lighter.utils import Identity, generate_cert, serialize_cert

LARGEST, BITS = 10_000, 2048  # bytes of a request, least bits of its key


def fingerprint(public: RSAPublicKey) -> str:
    """SHA-256 of a public key, which two people compare by telephone.

    Args:
      public: the key.
    """
    return hashlib.sha256(
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def read_request(path: Path) -> RSAPublicKey:
    """The public key of a request `NAME.csr` of the site NAME.

    Args:
      path: of the request.

    Raises:
      ValueError: when it is damaged, not signed by its own key, of another site, or of a weak key.
    """
    try:
        data = path.read_bytes()
        request = x509.load_pem_x509_csr(data)
        names = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        public, signed = request.public_key(), request.is_signature_valid
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected a request for a certificate, got: {error}") from None
    if [attribute.value for attribute in names] != [path.stem] or not signed:
        raise ValueError(f"{path}: expected a request that {path.stem} signed, got another one.")
    if not isinstance(public, RSAPublicKey) or public.key_size < BITS or len(data) > LARGEST:
        raise ValueError(f"{path}: expected an RSA key of at least {BITS} bits, got another one.")
    return public


def keep_requests(folder: Path | None, kept: Path, sites: Collection[str]) -> dict[str, str]:
    """Takes new requests over, and returns all of them.

    Args:
      folder: of new requests, `NAME.csr`; None: there are none.
      kept: folder of those that the authority keeps; made where there is none.
      sites: names of the consortium's sites.

    Returns:
      Site -> fingerprint of the key that it made.

    Raises:
      ValueError: for a request that is not of one of these sites, before any is taken over.
    """
    new = sorted(folder.glob("*.csr")) if folder is not None else []
    if folder is not None and not new:
        raise ValueError(f"{folder}: expected requests, NAME.csr, got none.")
    for path in new:
        if path.stem not in sites:
            raise ValueError(
                f"{path}: expected a request of one of {', '.join(sorted(sites))}, got one of"
                f" {path.stem!r}."
            )
        read_request(path)
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in new:
        (kept / path.name).write_bytes(path.read_bytes())
    mine = [kept / f"{name}.csr" for name in sites if (kept / f"{name}.csr").is_file()]
    return {path.stem: fingerprint(read_request(path)) for path in mine}


class Certificates(CertBuilder):
    """The engine's keys and certificates; where a site asked for a certificate, that alone.

    Args:
      root_valid_days: of the authority.
      requests: folder of requests, `NAME.csr`.
    """

    def __init__(self, root_valid_days: int, requests: str):
        super().__init__(root_valid_days)
        self.requests = Path(requests)

    def _build_write_cert_pair(
        self, participant: Participant, base_name: str, ctx: ProvisionContext
    ) -> None:
        path = self.requests / f"{participant.name}.csr"
        if base_name != CertFileBasename.CLIENT or not path.is_file():
            super()._build_write_cert_pair(participant, base_name, ctx)
            return
        subject = Identity(participant.subject, participant.org)
        authority: Any = self  # the engine fills these in when it reads or makes the authority
        issuer = Identity(authority.issuer)
        signed = generate_cert(subject, issuer, authority.pri_key, read_request(path))
        kit = Path(ctx.get_kit_dir(participant))
        (kit / f"{base_name}.crt").write_bytes(serialize_cert(signed))
        (kit / "rootCA.pem").write_bytes(authority.serialized_cert)
