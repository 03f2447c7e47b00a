"""The end of a site's record, signed by the site when it joins: the number of lines and the hash of
the last one. Kept outside the site it shows a record that was cut; signed, nobody there can make it
up.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.pairwise import Identity
from fedbrain.deploy.protocol.wire import Refused

# (name, certificate, signature, what was signed): raises Refused
Verify = Callable[[str, bytes, bytes, bytes], None]


def sign_head(identity: Identity, name: str, head: Mapping[str, Any]) -> dict[str, Any]:
    """A head with the site's signature and certificate.

    Args:
      identity: of the site.
      name: of the site.
      head: `lines` and `sha256`.
    """
    return {
        **head,
        "signature": identity.sign(_signed(name, head)).hex(),
        "certificate": identity.certificate.decode(),
    }


def require_head(verify: Verify, name: str, head: Mapping[str, Any]) -> None:
    """Raises Refused when a head was not signed by a site.

    Args:
      verify: knows the consortium's certificates.
      name: of the site.
      head: as `sign_head` returns it, from whoever kept it.
    """
    try:
        signature = bytes.fromhex(head["signature"])
        certificate = head["certificate"].encode()
        signed = _signed(name, {"lines": int(head["lines"]), "sha256": str(head["sha256"])})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise Refused("record: expected the signed end of a site's record, got another") from None
    verify(name, certificate, signature, signed)


def _signed(name: str, head: Mapping[str, Any]) -> bytes:
    return b"fedbrain record|" + json.dumps([name, head["lines"], head["sha256"]]).encode()


def check_heads(record: Path, joined: Path, name: str, verify: Verify) -> str:
    """Compares a site's record with the heads that the server kept of it.

    Args:
      record: `audit.jsonl` of the site.
      joined: `joined.jsonl` of a run, from the server.
      name: of the site.
      verify: knows the consortium's certificates, also those that have expired.

    Returns:
      A sentence.

    Raises:
      ValueError: for a head that the site did not sign, or that the record does not hold, and when
        there is none of this site.
    """
    lines = record.read_bytes().splitlines() if record.is_file() else []
    told = [json.loads(line) for line in joined.read_text(encoding="utf-8").splitlines()]
    own = [line for line in told if line["site"] == name]
    for line in own:
        head = line["record"]
        try:
            require_head(verify, name, head)
        except Refused as error:
            raise ValueError(f"{joined}: of {line['time']}: {error}.") from None
        last = lines[head["lines"] - 1] if 0 < head["lines"] <= len(lines) else b""
        if hashlib.sha256(last).hexdigest() != head["sha256"]:
            raise ValueError(
                f"{record}: expected line {head['lines']} as {name} signed it at {line['time']},"
                f" got {len(lines)} lines without it: the record was changed or cut."
            )
    if not own:
        raise ValueError(f"{joined}: expected lines of {name}, got none.")
    return f"{len(own)} ends of the record, signed at joining, are in it."
