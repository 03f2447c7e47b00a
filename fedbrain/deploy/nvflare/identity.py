"""A site's identity, in secure aggregation and under the end of its record: the key and
certificate of its kit, and the authority of the consortium, by which it knows the others.
"""
# The engine is an extra: `pip install -e '.[deploy]'`; it brings `cryptography`.

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fedbrain.deploy.protocol.pairwise import Identity
from fedbrain.deploy.protocol.record_head import Verify
from fedbrain.deploy.protocol.wire import Refused

PSS = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.MAX_LENGTH)


def identity_of(kit: Path) -> Identity:
    """The identity of a kit.

    Args:
      kit: of the site.
    """
    startup = kit / "startup"
    private: Any = load_pem_private_key((startup / "client.key").read_bytes(), password=None)
    return Identity(
        lambda data: private.sign(data, PSS, SHA256()),
        (startup / "client.crt").read_bytes(),
        verifier_of(kit),
    )


def verifier_of(kit: Path, *, of_today: bool = True) -> Verify:
    """A function that raises Refused when something was not signed by a site of the consortium.

    Args:
      kit: of the server or a site, for the authority's certificate.
      of_today: whether the site's certificate must be valid today; records are older.
    """
    root = x509.load_pem_x509_certificate((kit / "startup/rootCA.pem").read_bytes())

    def verify(name: str, certificate: bytes, signature: bytes, data: bytes) -> None:
        try:
            shown = x509.load_pem_x509_certificate(certificate)
            shown.verify_directly_issued_by(root)
            public: Any = shown.public_key()
            public.verify(signature, data, PSS, SHA256())
        except (ValueError, TypeError, AttributeError, InvalidSignature):
            raise Refused(
                f"keys: expected what {name} signed under a certificate of this consortium, got"
                " something else"
            ) from None
        _require_name(shown, name, of_today=of_today)

    return verify


def _require_name(certificate: x509.Certificate, name: str, *, of_today: bool) -> None:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    now = datetime.datetime.now(datetime.UTC)
    valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    valid = valid or not of_today
    if [str(attribute.value) for attribute in names] != [name] or not valid:
        raise Refused(f"keys: expected a certificate of {name} that is valid today, got another")
