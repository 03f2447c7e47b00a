"""A site's part in secure aggregation: a key for each attempt of a round, used for one answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedbrain.deploy.protocol.fixed_point import to_fixed
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.masked import (
    KEY,
    KEYS,
    MASKED,
    is_masked,
    occasion_of,
    require_maskable,
    write_masked,
)
from fedbrain.deploy.protocol.pairwise import Identity, announce, mask, new_secret, read_keys
from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import Envelope, Message, Refused, pack, schema
from fedbrain.deploy.site_side.site_file import Policy


class Masker:
    """Of one site in one run.

    Args:
      name: of the site.
      sites: of the job, all of which take part in every round.
      terms: of the experiment.
      identity: of the site.
    """

    def __init__(self, name: str, sites: list[str], terms: Terms, identity: Identity):
        self.name, self.sites, self.terms, self.identity = name, sites, terms, identity
        self.secret: Any = None  # forgotten with the process: the round is then tried again

    def key(self, message: Message) -> bytes:
        """Answers the question for a key, with a new one.

        Args:
          message: the question.
        """
        asked = message.envelope
        self.secret = new_secret()
        told = announce(self.secret, self.name, occasion_of(asked), self.identity)
        envelope = Envelope(
            KEY, self.name, asked.round, asked.nonce, self.terms.config, schema({}), {}
        )
        return pack(envelope, {KEYS: np.frombuffer(told, np.uint8)})

    def read(self, order: Message) -> dict[str, bytes]:
        """The keys of all sites in an order to train, before anything is computed.

        Args:
          order: to train.

        Raises:
          Refused: for an order without keys: its answer would not be hidden.
        """
        if set(order.vectors) != {KEYS} or order.vectors[KEYS].dtype != np.uint8:
            raise Refused(
                "keys: expected those of all sites, since config.server.aggregator is"
                " masked_mean(), got none"
            )
        text = order.vectors[KEYS].tobytes()
        occasion = occasion_of(order.envelope)
        keys = read_keys(text, self.sites, occasion, self.identity.verify)
        own = None if self.secret is None else self.secret.public_key().public_bytes_raw()
        if keys[self.name] != own:
            raise Refused("keys: expected this site's own key of this attempt, got another one")
        return keys

    def hide(self, order: Message, keys: dict[str, bytes], plain: Message) -> bytes:
        """The answer to an order, under masks. The key is forgotten.

        Args:
          order: to train.
          keys: of all sites.
          plain: the update, which stays here.
        """
        scalars = plain.envelope.scalars
        metrics = {name: scalars[name] for name in self.terms.metrics}
        numbers = to_fixed(
            plain.vectors["delta"], scalars["weight"], metrics, sites=len(self.sites)
        )
        secret, self.secret = self.secret, None
        hidden = mask(numbers, secret, self.name, keys, occasion_of(order.envelope))
        return write_masked(self.terms, order.envelope, self.name, {MASKED: hidden})


def make_maskers(
    policy: Policy,
    job: Mapping[str, Any],
    agreed: Sequence[Agreement],
    identity: Identity | None,
) -> dict[str, Masker]:
    """Hash of the experiment, or of each split of it -> the site's part in its secure aggregation;
    empty for a job without.

    Args:
      policy: of the site.
      job: as it came.
      agreed: what follows from it, for each split.
      identity: of the site.

    Raises:
      Refused: for a job without where the site demands it, or one that cannot be summed so.
    """
    rule = job["config"]["server"]["aggregator"]
    if not is_masked(rule):
        if policy.demands.masked:
            raise Refused(
                "config.server.aggregator: expected masked_mean(), since this site demands secure"
                f" aggregation, got {str(rule)[:80]!r}"
            )
        return {}
    if identity is None:
        raise Refused("config.server.aggregator: expected a site with a certificate, got none")
    require_maskable(agreed[0].terms, rule)
    how = (policy.name, list(job["sites"]))
    return {of.terms.config: Masker(*how, of.terms, identity) for of in agreed}
