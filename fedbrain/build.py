"""From a configuration to functions. The only reader of a ConfigDict; every field is read here, once.

Choices in a configuration are calls with literal arguments, `"krum(num_byzantine=1)"`, looked up in explicit tables: no
eval, no import by name.
"""

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import optax

from fedbrain.aggregators import AGGREGATORS, BATCH_STATISTICS
from fedbrain.algorithms import EXCHANGES, fedavg
from fedbrain.algorithms.exchange import without_statistics
from fedbrain.data.augment import AUGMENTS, Augment
from fedbrain.data.conform import RECIPES, Recipe
from fedbrain.data.partition import PARTITIONS, Partition
from fedbrain.data.regimes import REGIMES, Regime
from fedbrain.data.sites import SITES, Site
from fedbrain.data.splits import Fractions
from fedbrain.losses import LOSSES
from fedbrain.models import MODELS
from fedbrain.optimizers import OPTIMIZERS, TRANSFORMS
from fedbrain.optimizers.schedules import SCHEDULES, Schedule
from fedbrain.round import DRIVERS, Driver
from fedbrain.selection import Patience
from fedbrain.task import make_task
from fedbrain.types import Algorithm, Task


def call(spec: str, table: Mapping[str, Callable], **more: Any) -> Any:
    """Calls an entry of a table as text says: `call("adam(1e-3)", OPTIMIZERS)`.

    Args:
      spec: a Python call with literal arguments; a bare name is a call without arguments.
      table: the names that may be called.
      more: arguments that the program adds.

    Raises:
      ValueError: for anything but such a call, an unknown name (with the nearest known one), or wrong arguments.
    """
    try:
        node = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, AttributeError):
        raise ValueError(f"Expected a call like 'name(argument=1)', got {spec!r}.") from None
    if isinstance(node, ast.Name):
        node = ast.Call(node, [], [])
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(f"Expected a call like 'name(argument=1)', got {spec!r}.")
    name = node.func.id
    if name not in table:
        near = difflib.get_close_matches(name, table, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"Unknown {name!r}.{hint} Choose from: {', '.join(sorted(table))}.")
    try:
        args = [ast.literal_eval(a) for a in node.args]
        keywords = {k.arg or "**": ast.literal_eval(k.value) for k in node.keywords}
    except ValueError:
        raise ValueError(f"Expected literal arguments (numbers, text, tuples), got {spec!r}.") from None
    signature = inspect.signature(table[name])
    try:
        bound = signature.bind(*args, **keywords, **more)
    except TypeError as error:
        raise ValueError(f"{spec!r}: {error}. Expected {name}{signature}.") from None
    return table[name](*bound.args, **bound.kwargs)


class Experiment(NamedTuple):
    """A configuration, read."""

    seed: int
    rounds: int
    sites: dict[str, Site]
    recipe: Recipe
    cache: str
    augment: Augment
    partition: Partition
    fractions: Fractions
    split_seed: int
    repeats: int
    inner_splits: int
    regimes: dict[str, Regime]
    task: Task
    algorithm: Algorithm
    driver: Driver
    batch_size: int
    epochs: int
    clients_per_round: int
    schedule: Schedule
    patience: Patience
    keep: int
    unit: str


def read(config: Any) -> Experiment:
    """Reads a configuration, an `ml_collections.ConfigDict`.

    Raises:
      ValueError: naming the field, for a choice that cannot be made.
    """

    def choose(field: str, spec: str, table: Mapping[str, Callable], **more: Any) -> Any:
        try:
            return call(spec, table, **more)
        except (ValueError, TypeError) as error:
            raise ValueError(f"config.{field}: {error}") from None

    def at_least(field: str, value: int, minimum: int) -> int:
        if value < minimum:
            raise ValueError(f"config.{field}: expected an integer >= {minimum}, got {value}.")
        return value

    client, server, splits = config.client, config.server, config.splits
    fractions = Fractions(splits.valid, splits.test)
    if min(fractions) <= 0 or sum(fractions) >= 1:
        raise ValueError(f"config.splits: expected valid, test > 0 and valid + test < 1, got {fractions}.")
    loss = choose("loss", config.loss, LOSSES)
    task = make_task(choose("model", config.model, MODELS, outputs=loss.outputs), loss)
    exchange = choose("server.exchange", server.exchange, EXCHANGES)
    statistics = server.statistics
    if statistics == "local()":
        exchange, statistics = without_statistics(exchange), "mean()"
    algorithm = fedavg(
        task,
        optax.chain(
            *(choose("client.transforms", t, TRANSFORMS) for t in client.transforms),
            choose("client.optimizer", client.optimizer, OPTIMIZERS),
        ),
        optax.chain(
            choose("server.aggregator", server.aggregator, AGGREGATORS),
            choose("server.optimizer", server.optimizer, OPTIMIZERS),
        ),
        exchange=exchange,
        statistics=choose("server.statistics", statistics, _factories(BATCH_STATISTICS)),
    )
    return Experiment(
        seed=config.seed,
        rounds=at_least("rounds", config.rounds, 1),
        sites={name: choose(f"sites.{name}", spec, SITES) for name, spec in config.sites.items()},
        recipe=choose("prepare", config.prepare, RECIPES),
        cache=config.cache,
        augment=choose("augment", config.augment, AUGMENTS),
        partition=choose("partition", config.partition, PARTITIONS),
        fractions=fractions,
        split_seed=splits.seed,
        repeats=at_least("splits.repeats", splits.repeats, 1),
        inner_splits=at_least("splits.inner", splits.inner, 1),
        regimes={name: choose("regimes", name, _factories(REGIMES)) for name in config.regimes},
        task=task,
        algorithm=algorithm,
        driver=choose("driver", config.driver, DRIVERS),
        batch_size=at_least("client.batch_size", client.batch_size, 1),
        epochs=at_least("client.epochs", client.epochs, 1),
        clients_per_round=at_least("server.clients_per_round", server.clients_per_round, 0),
        schedule=choose("schedule", config.schedule, SCHEDULES),
        patience=Patience(config.patience.stop, config.patience.plateau, config.patience.factor),
        keep=at_least("checkpoint.keep", config.checkpoint.keep, 2),
        unit=config.unit,
    )


def _factories(table: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """A table of things as a table of functions that return them."""
    return {name: partial(lambda thing: thing, thing) for name, thing in table.items()}
