"""A site's people in one experiment: the secret of their noise, and what was told of them."""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.algorithms.private import Mechanism
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.demands import Demands, require_small_delta
from fedbrain.deploy.site_side.privacy_ledger import Ledger
from fedbrain.types import Key

SECRET = 8  # bytes of a key


class PrivatePeople(NamedTuple):
    """What noise hides, and what it costs."""

    ledger: Ledger  # of all experiments of the site
    privacy: Mechanism | None  # of this experiment; None: nothing hides its sums
    experiment: str  # its name in the ledger
    scans: int  # most scans of one person in a part
    root: Key | None  # of the noise; None: the run's own, which the server knows

    def tell(self, part: str, round: int) -> None:
        """Records that a sum is told, before it is computed.

        Args:
          part: "train" or "valid".
          round: that the question names.

        Raises:
          Refused: above the site's limit.
        """
        self.ledger.charge(self.experiment, part, round, privacy=self.privacy, scans=self.scans)

    def epsilons(self) -> dict[str, float]:
        """Of this experiment and of all, for the site's record; empty without noise."""
        if self.privacy is None:
            return {}
        return {
            "epsilon": self.ledger.epsilon(self.experiment),
            "epsilon_of_all": self.ledger.epsilon(),
            "delta_dp": self.ledger.delta_dp,
        }

    def reported(self) -> dict[str, Any]:
        """What the server learns of it at the end."""
        told = self.epsilons()
        return {name: told[name] for name in ("epsilon", "delta_dp") if name in told}


def open_people(
    workdir: Path,
    agreement: Agreement,
    split: Split,
    *,
    ledger: Path | None = None,
    demands: Demands = Demands(),  # noqa: B008  (never written to)
) -> PrivatePeople:
    """Opens the ledger, and makes the secret of an experiment's noise the first time.

    Args:
      workdir: of this site and run.
      agreement: of the job.
      split: of the site's scans.
      ledger: file of the site's ledger; None: one in `workdir`.
      demands: of the site.

    Raises:
      Refused: when the experiment would end above the site's limit.
      ValueError: when the ledger or the secret is damaged, or delta is too large.
    """
    require_small_delta(demands, len({s for part in split for s in part.subjects}))
    privacy, rounds = agreement.experiment.privacy, agreement.experiment.rounds
    most = max(max(Counter(part.subjects).values(), default=1) for part in split)
    path = ledger or workdir / "privacy.json"
    book = Ledger(path, delta_dp=demands.delta_dp, epsilon_at_most=demands.epsilon_at_most)
    name, root = agreement.terms.config[:16], None
    if privacy is not None:
        secret = read_secret(workdir / "noise.key")
        name = f"{name}-{hashlib.sha256(secret).hexdigest()[:16]}"
        root = jax.random.wrap_key_data(jnp.asarray(np.frombuffer(secret, np.uint32)))
    book.require_room(name, rounds=rounds, privacy=privacy, scans=most)
    return PrivatePeople(book, privacy, name, most, root)


def read_secret(path: Path) -> bytes:
    """The secret in a file, which is made the first time. It never leaves the site.

    A round that is computed again has the same noise. With another secret it is another answer, and
    costs again.

    Args:
      path: of the file.

    Raises:
      ValueError: when it is damaged.
    """
    if not path.is_file():
        temporary = path.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as f:
            f.write(os.urandom(SECRET))
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
    secret = path.read_bytes()
    if len(secret) != SECRET:
        raise ValueError(
            f"{path}: expected {SECRET} bytes, got {len(secret)}: the file is damaged."
        )
    return secret


def require_demanded(demands: Demands, privacy: Mechanism | None) -> None:
    """Refuses a job without differential privacy where the site demands it.

    Args:
      demands: of the site.
      privacy: of the job.

    Raises:
      Refused: naming the field and the demand.
    """
    if demands.epsilon_at_most is not None and privacy is None:
        raise Refused(
            "config.client.privacy: expected dp_fedsgd(...), since this site demands epsilon of at"
            f" most {demands.epsilon_at_most:g}, got none()"
        )
