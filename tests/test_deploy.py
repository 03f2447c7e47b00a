"""A whole run over messages has the bits of the simulated one, whatever dies in between; too few sites end it in words."""

import jax
import numpy as np
import pytest

from fedbrain import build
from fedbrain.data.dataset import shape_of
from fedbrain.data.pipeline import example_batch
from fedbrain.data.regimes import federated
from fedbrain.data.splits import split_scans
from fedbrain.deploy.conductor import Rules, Side, conduct
from fedbrain.deploy.exchange import make_terms, order_training, validated
from fedbrain.deploy.job import Agreement
from fedbrain.deploy.pace import Pace
from fedbrain.deploy.policy import config_hash
from fedbrain.deploy.progress import Progress
from fedbrain.deploy.register import Site
from fedbrain.deploy.wire import Refused, pack, unpack
from fedbrain.deploy.worker import Worker
from fedbrain.experiment import load_clients
from fedbrain.federation import make_machine, random_variables, train
from tests.experiment_under_test import config

LIMIT, SEED = 10_000_000, 7
RULES = Rules(fewest=3, medians=100, limit=LIMIT, deadline_s=60)
KINDS = {
    "FedAvg": {},
    "SCAFFOLD with FedBN": {"algorithm": "scaffold()", "exchange": "without_batch_norm()"},
}


class Consortium:
    """An experiment, its sites, and a transport in memory that can be told to fail."""

    def __init__(self, cache, folder, algorithm="fedavg()", exchange="everything()"):
        c = config(cache, rounds=3, regimes=("federated",))
        c.driver, c.residence, c.algorithm, c.server.exchange = "loop()", "streamed()", algorithm, exchange
        c.patience = {"stop": 0, "plateau": 1, "factor": 0.5}
        self.experiment, self.folder = build.read(c), folder
        clients, _ = load_clients(self.experiment)
        splits = {n: split_scans(s, self.experiment.fractions, seed=0) for n, s in clients.items()}
        [self.federation] = federated(splits)
        shape = shape_of([s.train for s in splits.values()])
        self.fresh = random_variables(self.experiment, shape)
        batch = example_batch(shape, self.experiment.batch_size, self.experiment.inputs)
        how = {"sites": 3, "config": config_hash(c.to_dict())}
        self.terms = make_terms(self.experiment.algorithm, self.fresh, batch, **how)
        self.sites = {n: Site(len(s.train), len(s.valid), len(s.test), True) for n, s in splits.items()}
        self.splits = splits
        self.workers, self.refused = {}, []

    def worker(self, name):
        if name not in self.workers:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            how = {"workdir": self.folder / name, "seed": SEED, "limit": LIMIT}
            self.workers[name] = Worker(name, self.experiment, self.terms, self.splits[name], self.fresh, **how)
        return self.workers[name]

    def transport(self, messages, deadline_s=0):
        for name in reversed(sorted(messages)):  # the order of arrival changes nothing
            try:
                yield name, self.worker(name).receive(messages[name])
            except Refused as error:
                self.refused.append(str(error))

    def side(self, transport=None, rules=RULES):
        workdir = self.folder / "server"
        workdir.mkdir(parents=True, exist_ok=True)
        agreement = Agreement(self.experiment, self.terms, self.fresh, SEED)
        pace, progress = Pace(rules.deadline_s), Progress(workdir)
        return Side(agreement, transport or self.transport, self.sites, rules, pace, progress)

    def run(self, transport=None, rules=RULES):
        return conduct(self.side(transport, rules), workdir=self.folder / "server")

    def simulated(self):
        machine, folder = make_machine(self.experiment), self.folder / "simulated"
        return train(self.federation, self.experiment, machine, self.fresh, folder=folder, seed=SEED, title="")

    def models(self, state):
        """Each site's model of the best round, one of the last two."""
        algorithm = self.experiment.algorithm
        own = {
            name: worker.memory.of(int(state.selection.best_round), take_back=False) for name, worker in self.workers.items()
        }
        return {name: algorithm.client_variables(state.best_server, private) for name, private in own.items()}


def _equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.fixture(scope="module", params=KINDS)
def runs(request, tmp_path_factory):
    """(folder, kind, the simulated run, the undisturbed run)."""
    folder = tmp_path_factory.mktemp("deploy")
    whole = Consortium(folder / "cache", folder / "whole", **KINDS[request.param])
    return folder, KINDS[request.param], whole.simulated(), (whole, whole.run())


def test_a_run_over_messages_is_the_simulated_run(runs):
    _, _, simulated, (whole, state) = runs
    assert float(state.selection.best_loss) == float(simulated.selection.best_loss)
    assert float(state.selection.learning_rate_scale) == float(simulated.selection.learning_rate_scale)
    assert int(state.selection.best_round) == int(simulated.selection.best_round) >= 2
    for name, variables in simulated.variables.items():
        assert _equal(variables, whole.models(state)[name])
    assert not whole.refused


@pytest.mark.parametrize("dies", ["in training", "in validation", "server and sites"])
def test_a_run_that_was_broken_off_ends_in_the_same_bits(runs, dies):
    folder, kind, _, (_, undisturbed) = runs
    broken, calls = Consortium(folder / "cache", folder / dies.replace(" ", "_"), **kind), []

    def once(messages, deadline_s):
        calls.append(1)  # model, train, model, train, ...
        for k, answer in enumerate(broken.transport(messages)):
            if len(calls) == {"in training": 4, "in validation": 5, "server and sites": 4}[dies] and k == 1:
                raise ConnectionError("cut")
            yield answer

    with pytest.raises(ConnectionError):
        broken.run(once)
    if dies == "server and sites":
        for worker in broken.workers.values():
            worker.close()
        broken.workers.clear()
    state = broken.run()
    assert _equal(state, undisturbed)


def test_a_site_that_does_not_answer_is_told_of_and_too_few_end_the_run_in_words(runs, tmp_path):
    folder, kind, *_ = runs
    some = Consortium(folder / "cache", tmp_path, **kind)

    def without(messages, deadline_s):
        return ((name, data) for name, data in some.transport(messages) if name != "birch")

    with pytest.raises(ValueError, match="at least 3 sites, got 2. birch: no answer before the deadline"):
        some.run(without)
    state = some.run(without, RULES._replace(fewest=2))
    assert int(state.server.round) == 3
    assert '"birch": "no answer before the deadline"' in (tmp_path / "server/metrics.jsonl").read_text()


def test_an_answer_of_another_length_or_without_its_loss_is_left_out_alone(runs, tmp_path):
    folder, kind, *_ = runs
    some = Consortium(folder / "cache", tmp_path, **kind)

    def lying(messages, deadline_s):
        for name, data in some.transport(messages):
            if name == "birch":
                envelope, vectors = unpack(data, limit=LIMIT)
                if envelope.kind == "validated":
                    envelope = envelope._replace(scalars={"count": 1.0})
                data = pack(envelope, {k: v[:-1] for k, v in vectors.items()})
            yield name, data

    state = some.run(lying, RULES._replace(fewest=2))
    assert int(state.server.round) == 3
    log = (tmp_path / "server/metrics.jsonl").read_text()
    assert "expected the scalars count, loss, got ['count']" in log


def test_an_order_without_a_model_is_refused(runs, tmp_path):
    folder, kind, *_ = runs
    one = Consortium(folder / "cache", tmp_path, **kind)
    trained = one.experiment.algorithm.init(one.fresh, jax.numpy.ones(3))
    order = order_training(one.terms, trained, nonce="n")
    with pytest.raises(Refused, match="expected the model of round 0 before the order to train on it, got none"):
        one.worker("amber").receive(order)
    with pytest.raises(Refused, match="kind: expected one of model, train, report, got 'validated'"):
        one.worker("amber").receive(validated(one.terms, unpack(order, limit=LIMIT).envelope, "x", loss=1.0, count=1))
