"""Masks that cancel in the sum: each pair of sites derives the same numbers from keys that only
they can combine; one adds them, the other subtracts them.

    mask_ij = ChaCha20(HKDF-SHA256(X25519(secret_i, public_j), round, names))      modulo 2^64

Keys are made anew for every attempt of a round and used once. Each is signed by its site, so that
the server, which carries them, cannot put its own in their place.

References:
  Bonawitz et al. (2017), https://doi.org/10.1145/3133956.3133982
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fedbrain.deploy.protocol.wire import Refused

NONCE = bytes(16)  # of ChaCha20: a key makes one stream


class Identity(NamedTuple):
    """How a site shows who it is, and knows others."""

    sign: Callable[[bytes], bytes]
    certificate: bytes
    # (name, certificate, signature, what was signed): raises Refused
    verify: Callable[[str, bytes, bytes, bytes], None]


def new_secret() -> Any:
    """A secret key, for one attempt of a round."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # an extra

    return X25519PrivateKey.generate()


def announce(secret: Any, name: str, occasion: str, identity: Identity) -> bytes:
    """A site's public key with its signature, as text.

    Args:
      secret: of the site.
      name: of the site.
      occasion: experiment and round.
      identity: of the site.
    """
    key = secret.public_key().public_bytes_raw()
    fields = {
        "key": key.hex(),
        "certificate": identity.certificate.hex(),
        "signature": identity.sign(_signed(name, occasion, key)).hex(),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def read_keys(
    text: bytes, names: list[str], occasion: str, verify: Callable[[str, bytes, bytes, bytes], None]
) -> dict[str, bytes]:
    """Site -> public key, from what `announce` wrote for each, as one text.

    Args:
      text: {site: what it announced}.
      names: of all sites of the job: nobody else may take part, and nobody may be missing.
      occasion: experiment and round.
      verify: of the site that reads.

    Raises:
      Refused: for other sites, or a signature that is not of the site.
    """
    try:
        told: Any = json.loads(text)
        read = {
            name: tuple(bytes.fromhex(of[f]) for f in ("key", "certificate", "signature"))
            for name, of in told.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Refused("keys: expected a signed key of every site, got something else") from None
    if sorted(read) != sorted(names):
        raise Refused(f"keys: expected those of {', '.join(sorted(names))}, got others")
    for name, (key, certificate, signature) in read.items():
        verify(name, certificate, signature, _signed(name, occasion, key))
    keys = {name: key for name, (key, *_) in read.items()}
    if len(set(keys.values())) != len(keys) or any(len(key) != 32 for key in keys.values()):
        raise Refused("keys: expected one of 32 bytes of every site, each another one")
    return keys


def _signed(name: str, occasion: str, key: bytes) -> bytes:
    return b"fedbrain mask key|" + json.dumps([name, occasion, key.hex()]).encode()


def mask(
    numbers: np.ndarray, secret: Any, name: str, keys: Mapping[str, bytes], occasion: str
) -> np.ndarray:
    """A site's numbers under the masks that it shares with every other site.

    Args:
      numbers: uint64 [n].
      secret: of the site.
      name: of the site.
      keys: site -> public key, of all sites.
      occasion: experiment and round.

    Raises:
      Refused: when the site's own key is not among them: they are of another attempt.
    """
    if keys.get(name) != secret.public_key().public_bytes_raw():
        raise Refused("keys: expected this site's own key of this attempt, got another one")
    if len(keys) < 2:
        raise Refused("keys: expected two sites or more, got one: its sum would be its update")
    masked = numbers.copy()
    for other, key in keys.items():
        if other != name:
            stream = _stream(secret, key, [occasion, *sorted((name, other))], numbers.size)
            masked = masked + stream if name < other else masked - stream
    return masked


def _stream(secret: Any, public: bytes, context: list[str], n: int) -> np.ndarray:
    """uint64 [n], the same for both sites of a pair."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    try:
        shared = secret.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused("keys: expected points of the curve, got a key that hides nothing") from None
    info = json.dumps(context).encode()
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(shared)
    encryptor = Cipher(algorithms.ChaCha20(key, NONCE), mode=None).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * n)), "<u8").astype(np.uint64)
