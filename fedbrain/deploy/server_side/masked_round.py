"""The training of a round under secure aggregation: keys, masked numbers, their sum.

Every site of the job takes part, or the attempt is over: masks of a site that is missing do not
cancel. The next attempt has new keys.
"""

import json

import numpy as np

from fedbrain.deploy.protocol.fixed_point import Total, from_fixed
from fedbrain.deploy.protocol.masked import KEY, KEYS, MASKED
from fedbrain.deploy.protocol.wire import Envelope, Message, Refused, schema
from fedbrain.deploy.server_side.exchange import Answers, Side, collect_answers, require_enough
from fedbrain.experiments.round_end import Snapshot

ATTEMPTS = 3  # of a round, before the run ends in words
EVERYBODY = "together"  # in place of sites' names, which the sum does not tell apart


def sum_of_updates(side: Side, snapshot: Snapshot) -> Answers:
    """Has every site train; what comes is one answer, as if a single site had sent the mean.

    Args:
      side: the server's.
      snapshot: before the round.

    Raises:
      ValueError: when in no attempt every site answered, with every reason.
    """
    names, refused = sorted(side.sites), []
    occasion = f"round {int(snapshot.server.round) + 1}, training under masks"
    answers = Answers({}, {}, [])
    for _ in range(ATTEMPTS):
        answers = collect_answers(side, names, snapshot, KEY)
        if not answers.left_out:
            keys = {n: json.loads(m.vectors[KEYS].tobytes()) for n, m in answers.admitted.items()}
            text = json.dumps(keys, sort_keys=True).encode()
            answers = collect_answers(side, names, snapshot, MASKED, keys=text)
        refused += answers.refused
        if not answers.left_out:
            return Answers({EVERYBODY: _sum(side, answers.admitted)}, {}, refused)
    require_enough(answers.admitted, answers.left_out, len(names), occasion)
    raise AssertionError("an attempt in which every site answered is the last one")


def _sum(side: Side, masked: dict[str, Message]) -> Message:
    """Masks cancel; the total is read as one update."""
    terms = side.agreement.terms
    numbers = np.zeros_like(next(iter(masked.values())).vectors[MASKED])
    for message in masked.values():
        numbers = numbers + message.vectors[MASKED]  # modulo 2^64
    try:
        total = from_fixed(numbers, sorted(terms.metrics))
        _require_plausible(side, total)
    except Refused as error:
        raise ValueError(f"The sum over all sites: {error}.") from None
    vectors = {"delta": total.mean, "model_state": _none(), "extra": _none()}
    envelope = next(iter(masked.values())).envelope
    told = {"weight": total.weight, **total.metrics}
    of_all = Envelope("update", EVERYBODY, envelope.round, "", terms.config, schema({}), told)
    return Message(of_all, vectors)


def _none() -> np.ndarray:
    return np.zeros(0, np.float32)


def _require_plausible(side: Side, total: Total) -> None:
    """The sum tells of no single site: what it weighs is all that can be compared."""
    declared = sum(site.train for site in side.sites.values())
    if total.weight != declared:
        raise Refused(
            f"weight: expected the {declared} training scans that the sites declared, got"
            f" {total.weight:g}"
        )
    if not np.isfinite(total.mean).all():
        raise Refused("delta: expected finite numbers, got others")
