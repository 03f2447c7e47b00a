"""A consortium in one process: real sites and a real server's side over a transport in memory, to
be told to fail.
"""

import hashlib

from fedbrain.data.dataset import shape_of
from fedbrain.data.pipeline import example_batch
from fedbrain.data.regimes import federated
from fedbrain.data.splits import split_scans
from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.deploy.protocol.first_model import Start
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.pairwise import Identity
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.terms import make_terms
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.exchange import Rules, Side
from fedbrain.deploy.server_side.rounds import conduct
from fedbrain.deploy.server_side.status import Progress
from fedbrain.deploy.site_side.crossed import Crossed
from fedbrain.deploy.site_side.masked_worker import MaskedWorker
from fedbrain.deploy.site_side.masker import Masker
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.compiled import compile_experiment, random_variables
from fedbrain.experiments.config import Experiment, read_experiment
from fedbrain.experiments.federation import train
from fedbrain.experiments.split_id import SplitId
from tests.experiment_under_test import config

LIMIT, SEED = 10_000_000, 8
RULES = Rules(fewest=3, medians=100, limit=LIMIT, deadline_s=60)

# Sites of one algorithm run the same programs: whoever comes first compiles them for all.
EXPERIMENTS: dict[tuple[str, ...], Experiment] = {}
COMPILED: dict[int, Worker] = {}


def identity_of(name):
    """Signatures that tell who signed; real ones are certificates of the engine."""

    def sign(data):
        return hashlib.sha256(name.encode() + data).digest()

    def verify(other, certificate, signature, data):
        if certificate != other.encode() or signature != identity_of(other).sign(data):
            raise Refused(f"keys: expected a key that {other} signed, got another one")

    return Identity(sign, name.encode(), verify)


class Consortium:
    """An experiment, its sites, and a transport in memory that can be told to fail."""

    def __init__(
        self,
        cache,
        folder,
        algorithm="fedavg()",
        sharing="everything()",
        rounds=3,
        trainable="everything()",
        start=None,
        regimes=("federated",),
        seed=SEED,
        privacy="none()",
        masked=False,
        baselines=(),
        crossed=False,
    ):
        """`start`: variables that the server sends; None: those of the seed."""
        c = config(cache, rounds=rounds, regimes=regimes)
        c.trainable, c.client.privacy, c.baselines = trainable, privacy, baselines
        c.server.aggregator = "masked_mean()" if masked else "weighted_mean()"
        self.masked = masked
        c.driver, c.residence, c.algorithm, c.server.sharing = (
            "loop()",
            "streamed()",
            algorithm,
            sharing,
        )
        c.patience = {"stop": 0, "plateau": 1, "factor": 0.5}
        self.folder = folder
        experiment = read_experiment(c)
        first = EXPERIMENTS.setdefault((algorithm, sharing, trainable, privacy, masked), experiment)
        self.experiment = experiment._replace(task=first.task, algorithm=first.algorithm)
        clients, _ = load_clients(self.experiment)
        self.fields, self.clients = c.to_dict(), clients
        splits = {n: split_scans(s, self.experiment.fractions, seed=0) for n, s in clients.items()}
        [self.federation] = federated(splits)
        shape = shape_of([s.train for s in splits.values()])
        self.fresh = random_variables(self.experiment, shape)
        batch = example_batch(shape, self.experiment.batch_size, self.experiment.inputs)
        how = {"sites": 3, "config": config_hash(c.to_dict())}
        self.terms = make_terms(self.experiment.algorithm, self.fresh, batch, **how)
        self.sites = {
            n: Registration(len(s.train), len(s.valid), len(s.test), True)
            for n, s in splits.items()
        }
        self.splits = splits
        named = None if start is None else Start(tree_digest(start), "", True)
        follows = (self.experiment, self.terms, self.fresh, SplitId(0), seed, named)
        self.agreement = Agreement(*follows, crossed)
        self.fresh = self.fresh if start is None else start
        self.workers, self.refused, self.told = {}, [], []

    def worker(self, name):
        if name not in self.workers:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            how = {"workdir": self.folder / name, "limit": LIMIT, "fewest_tested": 1}
            worker = Worker(name, self.agreement, self.splits[name], **how)
            compiled = COMPILED.setdefault(id(worker.experiment.algorithm), worker)
            worker.train, worker.evaluate = compiled.train, compiled.evaluate
            worker.tester.evaluate = compiled.evaluate
            worker.tester.run_round = compiled.tester.run_round
            Crossed(worker, list(self.sites))
            if self.masked:
                masker = Masker(name, list(self.sites), self.terms, identity_of(name))
                worker = MaskedWorker(worker, {self.terms.config: masker}, limit=LIMIT)
            self.workers[name] = worker
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
        agreement = self.agreement._replace(fresh=self.fresh)
        pace, progress = Pace(rules.deadline_s), Progress(workdir)
        tell = lambda site, why: self.told.append(f"{site}: {why}")  # noqa: E731
        told = (agreement, transport or self.transport, self.sites, rules, pace, progress, tell)
        return Side(*told, masked=self.masked)

    def run(self, transport=None, rules=RULES, folder=None):
        return conduct(self.side(transport, rules), folder=folder or self.folder / "server")

    def simulated(self):
        return train(
            self.federation,
            self.experiment,
            compile_experiment(self.experiment),
            self.fresh,
            folder=self.folder / "simulated",
            seed=self.agreement.seed,
            title="",
        )

    def models(self, state):
        """Each site's model of the best round, one of the last two."""
        algorithm = self.experiment.algorithm
        own = {
            name: worker.memory.of(int(state.selection.best_round))
            for name, worker in self.workers.items()
        }
        return {
            name: algorithm.client_variables(state.best_server, private)
            for name, private in own.items()
        }
