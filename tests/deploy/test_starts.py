"""A run that starts from a model of another run: the bits of the simulation, what is sent, and
which first models a site accepts.
"""

import jax
import numpy as np
import pytest

from fedbrain.deploy.protocol.first_model import Start, read_start
from fedbrain.deploy.protocol.questions import write_model
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.deploy.server_side.starting_model import keep_start, name_start, with_start
from fedbrain.deploy.site_side.accepted_starts import Starts, read_starts, require_accepted
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.repeats import run_folder
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.workdir import write_json
from fedbrain.models.files.weights import save
from tests.experiment_under_test import config
from tests.faults.in_memory import LIMIT, Consortium

HASH = "a" * 64


@pytest.fixture(scope="module")
def first(scans, tmp_path_factory):
    """(work directory of the centre, the run) of an experiment that others start from."""
    workdir = tmp_path_factory.mktemp("first")
    run = Consortium(scans, workdir, rounds=2)
    fields = config(scans, rounds=2, regimes=("federated",)).to_dict()
    shape = [*run.experiment.recipe.shape, 1]
    write_json(
        workdir / "config.json", {"config": fields, "target": "age", "data": {"shape": shape}}
    )
    state = run.run(folder=run_folder(workdir, "federated", SplitId(0)))
    return workdir, run, state


def _second(scans, workdir, head=True):
    fields = config(scans, rounds=2).to_dict()
    return name_start({**fields, "initial": f"run({str(workdir)!r}, head={head})"})


def test_a_run_from_a_model_of_the_network_is_the_simulated_one(scans, first, tmp_path):
    named, start = _second(scans, first[0], head=False)
    again = Consortium(scans, tmp_path, rounds=2, trainable="only_head()", start=start.variables)
    state, simulated = again.run(), again.simulated()
    assert read_start(named).sha256 == tree_digest(start.variables)
    assert float(state.selection.best_loss) == float(simulated.selection.best_loss)
    assert tree_digest(variables_of(state.best_server)) == tree_digest(simulated.variables["amber"])
    assert not again.refused


def test_a_run_from_a_model_that_was_broken_off_ends_in_the_same_bits(scans, first, tmp_path):
    _, start = _second(scans, first[0], head=False)
    how = {"rounds": 2, "trainable": "only_head()", "start": start.variables}
    whole = Consortium(scans, tmp_path / "whole", **how).run()
    broken, calls = Consortium(scans, tmp_path / "broken", **how), []

    def once(messages, deadline_s):
        calls.append(1)  # model, train, model, train, ...
        for k, answer in enumerate(broken.transport(messages)):
            if len(calls) == 4 and k == 1:
                raise ConnectionError("cut")
            yield answer

    with pytest.raises(ConnectionError):
        broken.run(once)
    for worker in broken.workers.values():
        worker.close()
    broken.workers.clear()
    again = broken.run()
    assert tree_digest(again.best_server.params) == tree_digest(whole.best_server.params)
    assert float(again.selection.best_loss) == float(whole.selection.best_loss)


def test_the_model_of_a_network_run_is_its_best_one(scans, first):
    workdir, _, state = first
    named, start = _second(scans, workdir)
    assert tree_digest(start.variables) == tree_digest(variables_of(state.best_server))
    assert read_start(named).run
    assert read_start(named).head


def test_a_frozen_layer_is_sent_once(scans, tmp_path):
    some = Consortium(scans, tmp_path, trainable="only_head()")
    state = some.experiment.algorithm.init(some.fresh, jax.numpy.ones(3))
    sizes = [
        sum(
            v.size
            for v in unpack(
                write_model(
                    some.terms, state._replace(round=np.int32(r)), nonce="n", best_round=-1
                ),
                limit=LIMIT,
            ).vectors.values()
        )
        for r in (0, 1)
    ]
    head = sum(leaf.size for leaf in jax.tree.leaves(some.fresh["params"]["head"]))
    assert sizes == [sum(leaf.size for leaf in jax.tree.leaves(some.fresh)), head]
    assert sum(leaf.size for leaf in jax.tree.leaves(some.terms.answer)) == head


def test_another_first_model_than_the_named_one_is_refused(scans, first, tmp_path):
    _, start = _second(scans, first[0])
    some = Consortium(scans, tmp_path, start=start.variables)
    other = jax.tree.map(lambda x: x + np.float32(1e-3), start.variables)
    state = some.experiment.algorithm.init(other, jax.numpy.ones(3))
    with pytest.raises(Refused, match="expected the model of .* that the job names, got another"):
        some.worker("amber").receive(write_model(some.terms, state, nonce="n", best_round=-1))


def test_a_site_that_starts_again_takes_what_is_frozen_from_its_disk(scans, first, tmp_path):
    _, start = _second(scans, first[0], head=False)
    some = Consortium(scans, tmp_path, trainable="only_head()", start=start.variables)
    state = some.experiment.algorithm.init(start.variables, jax.numpy.ones(3))
    some.worker("amber").receive(write_model(some.terms, state, nonce="a", best_round=-1))
    some.workers.pop("amber").close()
    later = write_model(some.terms, state._replace(round=np.int32(1)), nonce="b", best_round=-1)
    some.worker("amber").receive(later)
    some.workers.pop("amber").close()
    damaged = some.folder / "amber/start.bin"
    damaged.write_bytes(damaged.read_bytes()[:-4])
    assert some.worker("amber").last_round == -1  # the server sends the first model again
    with pytest.raises(Refused, match="expected the model of round 0"):
        some.worker("amber").receive(later)


def test_a_site_accepts_no_first_model_unless_it_says_so(scans, first, tmp_path):
    _, run, state = first
    named, _ = _second(scans, first[0], head=False)
    fresh, wanted = run.agreement.fresh, read_start(named)
    require_accepted(Starts(), None, fresh, tmp_path)
    for nothing in (Starts(), Starts(hashes=frozenset([HASH])), Starts(runs=True)):
        with pytest.raises(Refused, match=r"expected a first model that this site accepts"):
            require_accepted(nothing, wanted, fresh, tmp_path)
    require_accepted(Starts(approved=True), wanted, fresh, tmp_path)
    require_accepted(Starts(hashes=frozenset([wanted.sha256])), wanted, fresh, tmp_path)
    own = tmp_path / f"age-{wanted.run[:16]}"
    own.mkdir()
    save(variables_of(state.best_server), str(own / "model.safetensors"), torch=False)
    require_accepted(Starts(runs=True), wanted, fresh, tmp_path)
    with pytest.raises(Refused, match="accepts"):  # the layers of that run, another last one
        require_accepted(Starts(runs=True), wanted._replace(head=True), fresh, tmp_path)
    with pytest.raises(Refused, match="accepts"):
        require_accepted(Starts(runs=True), Start(HASH, wanted.run, False), fresh, tmp_path)


def test_what_site_toml_says_of_first_models_is_checked():
    assert read_starts({}, approval=True) == Starts()
    assert read_starts({"sha256": [HASH], "runs": True}, approval=False) == Starts(
        frozenset([HASH]), runs=True
    )
    with pytest.raises(ValueError, match=r"\[start\] sha256: expected a SHA-256, 64 digits"):
        read_starts({"sha256": ["abc"]}, approval=True)
    with pytest.raises(ValueError, match="approved: expected approval = true with it, got false"):
        read_starts({"approved": True}, approval=False)


def test_the_server_sends_the_model_that_the_job_names(scans, first, tmp_path):
    _, start = _second(scans, first[0])
    run = Consortium(scans, tmp_path, start=start.variables)
    with pytest.raises(ValueError, match="expected the model that the job starts from, got no"):
        with_start(run.agreement, tmp_path)
    keep_start(tmp_path, start)
    found = with_start(run.agreement, tmp_path).fresh
    assert tree_digest(found) == tree_digest(start.variables)
    with pytest.raises(ValueError, match="that the job names, got another"):
        with_start(run.agreement._replace(start=Start(HASH, "", True)), tmp_path)


def test_a_run_whose_layers_stay_with_the_hospitals_is_no_start(scans, tmp_path):
    run = Consortium(scans, tmp_path, rounds=2, sharing="without_batch_norm()")
    fields = config(scans, rounds=2, regimes=("federated",)).to_dict()
    fields["server"]["sharing"] = "without_batch_norm()"
    shape = [*run.experiment.recipe.shape, 1]
    write_json(tmp_path / "config.json", {"config": fields, "data": {"shape": shape}})
    folder = run_folder(tmp_path, "federated", SplitId(0))
    write_json(folder / "members.json", ["amber"])
    with pytest.raises(ValueError, match="whose hospitals share all layers that train"):
        _second(scans, tmp_path)
