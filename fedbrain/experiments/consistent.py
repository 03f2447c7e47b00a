"""Choices of a configuration that only hold together: formulas that assume how clients step, and
robust rules beside averages.
"""

import math
from collections.abc import Iterator, Sequence
from inspect import BoundArguments

import jax
import jax.numpy as jnp

from fedbrain.aggregators import AGGREGATORS, RULES
from fedbrain.algorithms import VARIANTS
from fedbrain.algorithms.optimizers import OPTIMIZERS, SERVER_OPTIMIZERS, TRANSFORMS, UPLOADS
from fedbrain.experiments.spec import bind, call
from fedbrain.types import Update

DECAY = "add_decayed_weights"
REPORTERS = {  # what a rule needs -> the algorithm that reports it
    "global_loss": "report_global_loss",
    "Fisher information": "report_fisher",
    "discrepancy": "report_discrepancy",
    "gap": "report_gap",
    "left-out loss": "report_left_out_loss",
}


def require_consistent(
    *,
    algorithm: str,
    aggregator: str,
    optimizer: str,
    transforms: Sequence[str] = (),
    upload: str = "identity()",
    links: Sequence[str] = (),
    trusted: Sequence[str] | None = None,
    server_optimizer: str = "sgd(1.0)",
) -> None:
    """Refuses a client optimiser for which the formula of the algorithm or the rule does not hold,
    updates lost on their way from clients that remember them, and a rule without the reports that
    it needs.

    Mime's momentum is the whole optimiser of its local steps. FedNova's effective number of steps
    is that of SGD with its momentum. q-FedAvg divides an update by the learning rate to estimate a
    gradient. SCAFFOLD, FedDyn and FedDC are not in the list: they correct the gradient itself, and
    where corrected gradients are 0 every optimiser rests (`tests/algorithms/test_quadratics.py`).

    Args:
      algorithm: the call in `config.algorithm`.
      aggregator: the call in `config.server.aggregator`.
      optimizer: the call in `config.client.optimizer`.
      transforms: the calls in `config.client.transforms`.
      upload: the call in `config.client.upload`.
      links: the calls in `config.server.links`.
      trusted: `config.server.trusted`; None: it is not known.
      server_optimizer: the call in `config.server.optimizer`.

    Raises:
      ValueError: naming the field, and the choice that needs another value there.

    >>> require_consistent(algorithm="mime()", aggregator="median()", optimizer="sgd(0.1)")
    """
    _require_kept_memory(algorithm, upload, links)
    _require_plain_mean(algorithm, server_optimizer)
    if bind(algorithm, VARIANTS)[0] in ("mime", "mimelite"):
        _require_sgd(optimizer, f"config.algorithm={algorithm!r}", momentum=0.0)
        _require_plain(transforms, f"config.algorithm={algorithm!r}")
    rule, bound = bind(aggregator, AGGREGATORS)
    bound.apply_defaults()
    needed_by = f"config.server.aggregator={aggregator!r}"
    _require_reports(RULES[rule].needs, algorithm, trusted, needed_by)
    if rule == "fednova":
        sgd = _require_sgd(optimizer, needed_by, momentum=bound.arguments["momentum"])
        _require_proximal(transforms, sgd, bound.arguments["proximal"], needed_by)
    if rule == "q_fedavg":
        sgd = _require_sgd(optimizer, needed_by, momentum=0.0)
        _require_plain(transforms, needed_by)
        if sgd.arguments["learning_rate"] != bound.arguments["learning_rate"]:
            raise ValueError(
                "config.server.aggregator: expected the learning_rate of"
                f" config.client.optimizer={optimizer!r}, got {aggregator!r}."
            )


def _require_plain_mean(algorithm: str, server_optimizer: str) -> None:
    """A model without one client follows from the last one where that is a mean of local models."""
    name, bound = bind(server_optimizer, OPTIMIZERS | SERVER_OPTIMIZERS)
    bound.apply_defaults()
    used = bound.arguments
    plain = name == "sgd" and used["learning_rate"] == 1.0 and not used["momentum"]
    if bind(algorithm, VARIANTS)[0] == "report_left_out_loss" and not plain:
        raise ValueError(
            "config.server.optimizer: expected sgd(1.0), for which the formula of"
            f" config.algorithm={algorithm!r} holds, got {server_optimizer!r}."
        )


def _require_reports(
    needs: str, algorithm: str, trusted: Sequence[str] | None, needed_by: str
) -> None:
    """A rule would fail, or be undefined, in the first round."""
    reporter = REPORTERS.get(needs)
    if reporter and bind(algorithm, VARIANTS)[0] != reporter:
        raise ValueError(
            f"config.algorithm: expected {reporter}(...), whose clients report what {needed_by}"
            f" needs ({needs}), got {algorithm!r}."
        )
    if needs == "trusted" and trusted is not None and not trusted:
        raise ValueError(
            f"config.server.trusted: expected a client that is the server's own, which {needed_by}"
            " compares the others with, got none."
        )


def _require_sgd(optimizer: str, needed_by: str, *, momentum: float) -> BoundArguments:
    """The arguments of the client's optimiser, which must be SGD with this momentum."""
    name, bound = bind(optimizer, OPTIMIZERS)
    bound.apply_defaults()
    used = bound.arguments
    fits = name == "sgd" and (used["momentum"] or 0.0) == momentum
    if not fits or (momentum and used["nesterov"]):
        wanted = f"sgd(RATE, momentum={momentum})" if momentum else "sgd(RATE) without momentum"
        raise ValueError(
            f"config.client.optimizer: expected {wanted}, for which the formula of {needed_by}"
            f" holds, got {optimizer!r}."
        )
    return bound


def _require_plain(transforms: Sequence[str], needed_by: str) -> None:
    """Weight decay is part of a gradient: that of the objective with its penalty."""
    others = tuple(spec for spec in transforms if bind(spec, TRANSFORMS)[0] != DECAY)
    if others:
        raise ValueError(
            f"config.client.transforms: expected none but {DECAY}(), since the formula of"
            f" {needed_by} takes a local step for a gradient, got {others}."
        )


def _require_proximal(
    transforms: Sequence[str], sgd: BoundArguments, proximal: float, needed_by: str
) -> None:
    """FedNova counts steps of SGD with a proximal term of rate times mu, and with no other link but
    weight decay.
    """
    calls = [bind(spec, TRANSFORMS) for spec in transforms]
    calls = [(name, bound) for name, bound in calls if name != DECAY]
    if any(name != "add_proximal_term" for name, _ in calls) or len(calls) > 1:
        _require_plain(transforms, needed_by)
    mu = calls[0][1].arguments["mu"] if calls else 0.0
    used = mu * sgd.arguments["learning_rate"]
    if not math.isclose(used, proximal, rel_tol=1e-6, abs_tol=1e-12):
        raise ValueError(
            f"config.server.aggregator: expected proximal={used:g}, learning rate times mu of"
            f" config.client, got {needed_by.partition('=')[2]}."
        )


def require_trained_body(algorithm: str, steps: int) -> None:
    """Refuses FedRep where the body never trains, since the head takes all local steps.

    Args:
      algorithm: the call in `config.algorithm`.
      steps: local steps in a round, of the client with the fewest.

    Raises:
      ValueError: naming both numbers.

    >>> require_trained_body("fedrep(head_steps=4)", 5)
    """
    name, bound = bind(algorithm, VARIANTS)
    if name == "fedrep" and bound.arguments["head_steps"] >= steps:
        raise ValueError(
            "config.algorithm: expected fewer head_steps than the local steps of every client,"
            f" after which the body trains, got {algorithm!r} and {steps} in a round."
        )


def beside_of(statistics: str, aggregator: str) -> str:
    """The rule for what is sent beside the delta: of `with_rule()`, the median beside a rule that
    survives wrong clients and the mean beside others.

    Args:
      statistics: the call in `config.server.statistics`.
      aggregator: the call in `config.server.aggregator`.

    >>> beside_of("with_rule()", "krum(1)"), beside_of("with_rule()", "weighted_mean()")
    ('median()', 'mean()')
    >>> beside_of("pooled()", "krum(1)")
    'pooled()'
    """
    if statistics not in ("with_rule()", "with_rule"):
        return statistics
    try:
        rule, _ = bind(aggregator, AGGREGATORS)
    except ValueError:  # refused where the field is read
        return "mean()"
    return "mean()" if RULES[rule].breakdown == "0" else "median()"


def _require_kept_memory(algorithm: str, upload: str, links: Sequence[str]) -> None:
    lost = [spec for spec in links if spec.partition("(")[0].strip() == "drop_out"]
    if not lost:
        return
    kept = call(algorithm, VARIANTS).client_init({"params": {"w": jnp.zeros(1)}})
    sent = jax.tree.leaves(call(upload, UPLOADS).init(jnp.zeros(1)))
    feedback = any(x.ndim and x.size for x in sent)  # an error, not the counter of random rounding
    if not jax.tree.leaves(kept) and not feedback:
        return
    field = f"algorithm={algorithm!r}" if jax.tree.leaves(kept) else f"client.upload={upload!r}"
    raise ValueError(
        f"config.server.links: expected no {lost[0]!r} beside config.{field}, whose clients"
        " remember what the server never got; config.drop_out of a study leaves clients out before"
        " they train."
    )


def unprotected(
    *, algorithm: str, aggregator: str, statistics: str, update: Update
) -> Iterator[str]:
    """Warns where a robust rule stands beside averages through which one client spoils the model.

    Args:
      algorithm: the call in `config.algorithm`.
      aggregator: the call in `config.server.aggregator`.
      statistics: the call in `config.server.statistics`.
      update: what a client sends, or its shapes.
    """
    rule, _ = bind(aggregator, AGGREGATORS)
    if RULES[rule].breakdown == "0" or beside_of(statistics, aggregator).startswith("median"):
        return
    averaged = []
    if jax.tree.leaves(update.model_state):
        averaged.append("batch statistics")
    if jax.tree.leaves(update.extra):
        averaged.append(f"what {algorithm} sends besides")
    if averaged:
        yield (
            f"config.server.statistics: {aggregator} limits what one client's weights can do, and"
            f" {' and '.join(averaged)} are averaged ({statistics}), so that one client can spoil"
            " the model through them. Choose 'with_rule()' or 'median()'."
        )
