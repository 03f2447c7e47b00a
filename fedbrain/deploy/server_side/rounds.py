"""The rounds of a run, as the server sees them, over any transport: sites train, the server
aggregates, sites validate the new model.

A round is done when its checkpoint is. Whatever is lost after that is asked again, and comes again
with the same bits.
"""

import math
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fedbrain.deploy.protocol.gate import norms, too_large
from fedbrain.deploy.server_side.aggregated import Aggregate, Aggregates
from fedbrain.deploy.server_side.cohort import make_aggregate, read_answers
from fedbrain.deploy.server_side.exchange import Answers, Side, collect_answers, require_enough
from fedbrain.deploy.server_side.large_arrays import arrays_of
from fedbrain.deploy.server_side.masked_round import sum_of_updates
from fedbrain.deploy.server_side.voxels import harmonise
from fedbrain.experiments.round_end import (
    Snapshot,
    ValidationSums,
    end_round,
    first_snapshot,
    log_line,
)
from fedbrain.experiments.rounds import Rounds
from fedbrain.experiments.workdir import write_json

# keys of a round's line that the status file shows too
SHOWN = ("best_round", "valid_loss", "left_out", "seconds")


def exclude_large(side: Side, updates: Answers) -> None:
    """Refuses updates with a norm far above the round's median, and notifies their sites.

    Args:
      side: the server's.
      updates: of the round; changed in place.
    """
    norms_of = {name: norms(message) for name, message in updates.admitted.items()}
    for name, reason in too_large(norms_of, medians=side.rules.medians).items():
        del updates.admitted[name]
        updates.left_out[name] = reason
        updates.refused.append(f"{name}: {reason}")
        side.notify(name, reason)


def read_sums(validation: Answers) -> ValidationSums:
    """Sums of validation losses, in the order of the sites' names.

    Args:
      validation: the sites' answers.
    """
    scalars = {name: validation.admitted[name].envelope.scalars for name in validation.admitted}
    return {n: (scalars[n]["loss"], int(scalars[n]["count"])) for n in sorted(scalars)}


def train(side: Side, aggregate: Callable, snapshot: Snapshot) -> Aggregate:
    """Has sites train on the model that they have, and aggregates their updates.

    Args:
      side: the server's.
      aggregate: see `make_aggregate`.
      snapshot: before the round.

    Raises:
      ValueError: when too few sites answer.
    """
    round, experiment = int(snapshot.server.round) + 1, side.agreement.experiment
    if side.masked:
        updates = sum_of_updates(side, snapshot)
    else:
        cohort = experiment.sampling(sorted(side.sites), round, side.agreement.seed)
        updates = collect_answers(side, cohort, snapshot, "update")
        exclude_large(side, updates)
        fewest = min(side.rules.fewest, len(cohort))
        require_enough(updates.admitted, updates.left_out, fewest, f"round {round}, training")
    names = sorted(updates.admitted)
    vectors, update = read_answers(side.agreement.terms, updates.admitted, side.arrays)
    side.progress.update(doing="aggregating")
    server, info = aggregate(snapshot.server, vectors, update, names)
    metrics = {**update.metrics, **info}
    return Aggregate(server, names, metrics, updates.left_out, updates.refused)


def one_round(
    side: Side, aggregate: Callable, aggregates: Aggregates, snapshot: Snapshot
) -> tuple[Snapshot, dict[str, Any]]:
    """Runs a round: trains on the model that sites have, aggregates, and validates the new one.

    Args:
      side: the server's.
      aggregate: see `make_aggregate`.
      aggregates: of the last rounds; a model that sites may have seen is sent again.
      snapshot: before the round.

    Returns:
      The snapshot after the round, and its line of the log.

    Raises:
      ValueError: when too few sites answer.
    """
    round = int(snapshot.server.round) + 1
    trained = aggregates.of(round, snapshot.server)
    if trained is None:
        trained = train(side, aggregate, snapshot)
        aggregates.save(round, trained)
    server, names, metrics, left_out, refused = trained
    validation = collect_answers(side, side.sites, snapshot._replace(server=server), "validated")
    require_enough(
        validation.admitted, validation.left_out, side.rules.fewest, f"round {round}, validation"
    )
    sums = read_sums(validation)
    after = end_round(side.agreement.experiment, snapshot, server, [], sums)
    return after, {
        **log_line(after, names, metrics, sums),
        "left_out": left_out | validation.left_out,
        "refused": [*refused, *validation.refused],
        "seconds": side.pace.seconds(),
    }


def untrained(side: Side) -> Snapshot:
    """The snapshot before the first round. Private states are the sites' own.

    Args:
      side: the server's.
    """
    examples = jnp.asarray([side.sites[name].train for name in sorted(side.sites)], jnp.float32)
    algorithm = side.agreement.experiment.algorithm
    return first_snapshot(algorithm.init(side.agreement.fresh, examples), [])


def introduce(side: Side, done: int) -> None:
    """Sends the first model to sites that have seen none: they take part from it on.

    Args:
      side: the server's.
      done: rounds that are done.

    Raises:
      ValueError: when no site has seen any model, though rounds are done: these are not theirs.
    """
    new = [name for name in side.sites if side.seen.get(name, 0) < 0]
    if new and len(new) == len(side.seen):
        raise ValueError(
            f"Expected a work directory whose models the sites have seen, got one with {done}"
            " rounds of which no site knows. Begin with an empty one."
        )
    if new:
        collect_answers(side, new, untrained(side), "validated")


def conduct(side: Side, *, folder: Path, stop: Callable[[], bool] = lambda: False) -> Snapshot:
    """Runs the rounds that are still to be run.

    Args:
      side: the server's.
      folder: of the federation: its checkpoints, its log, its members.
      stop: asked before every round whether to run no more.

    Returns:
      The snapshot after the last round.

    Raises:
      ValueError: when too few sites answer; the next start goes on from the last round that is
        done.
    """
    experiment, answer = side.agreement.experiment, jax.tree.leaves(side.agreement.terms.answer)
    numbers = sum(math.prod(leaf.shape) for leaf in answer)
    side = side._replace(arrays=arrays_of(folder, len(side.sites), numbers))
    aggregate = make_aggregate(experiment.algorithm, experiment.trusted, sorted(side.sites))
    aggregates = Aggregates(folder, keep=experiment.keep + 1)
    with Rounds(folder, experiment, untrained(side)) as rounds, closing(aggregates):
        write_json(folder / "members.json", sorted(side.sites))
        side.progress.update(round=side.rounds_before + rounds.done)
        if not rounds.over:
            harmonise(side, folder)
        if rounds.done:
            introduce(side, rounds.done)
        if not rounds.over:  # sites need the model; what it scores is known already
            answers = collect_answers(side, side.sites, rounds.snapshot, "validated")
            occasion = f"round {rounds.done}, start"
            require_enough(answers.admitted, answers.left_out, side.rules.fewest, occasion)
        for line in rounds.run(partial(one_round, side, aggregate, aggregates), stop=stop):
            side.progress.update(doing="saving")
            rounds.checkpoints.flush()
            shown = {key: line[key] for key in SHOWN}
            side.progress.update(**shown, round=side.rounds_before + line["round"])
        return rounds.snapshot
