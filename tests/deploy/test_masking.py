"""Secure aggregation: the server has the sum and nothing else, or no round at all."""

import json

import jax
import numpy as np
import pytest

from fedbrain.deploy.protocol.fixed_point import from_fixed, to_fixed
from fedbrain.deploy.protocol.masked import KEYS, MASKED, require_maskable
from fedbrain.deploy.protocol.pairwise import announce, mask, new_secret, read_keys
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.wire import Refused, pack, unpack
from fedbrain.deploy.site_side.demands import Demands
from fedbrain.deploy.site_side.masker import make_maskers
from fedbrain.deploy.site_side.policy import Policy
from tests.faults.in_memory import LIMIT, Consortium, identity_of

pytest.importorskip("cryptography", reason="needs the extra deploy")
NAMES = ["amber", "birch", "cedar"]
WEIGHTS = {"amber": 58.0, "birch": 454.0, "cedar": 1454.0}


def _plain(seed=0):
    rng = np.random.default_rng(seed)
    deltas = {name: rng.normal(0, 1e-2, 1025).astype(np.float32) for name in NAMES}
    return deltas, {
        n: to_fixed(deltas[n], WEIGHTS[n], {"count": WEIGHTS[n]}, sites=3) for n in NAMES
    }


def _keys(occasion="config 3", names=NAMES):
    secrets = {name: new_secret() for name in names}
    told = {n: json.loads(announce(secrets[n], n, occasion, identity_of(n))) for n in names}
    return secrets, told


def _masked(plain, occasion="config 3"):
    secrets, told = _keys(occasion)
    keys = read_keys(json.dumps(told).encode(), NAMES, occasion, identity_of("amber").verify)
    return {name: mask(plain[name], secrets[name], name, keys, occasion) for name in NAMES}


def test_the_sum_under_masks_is_the_unmasked_sum_bit_for_bit():
    deltas, plain = _plain()
    masked = _masked(plain)
    total, expected = (np.sum(list(x.values()), axis=0, dtype=np.uint64) for x in (masked, plain))
    np.testing.assert_array_equal(total, expected)
    read = from_fixed(total, ["count"])
    mean = sum(WEIGHTS[n] * deltas[n].astype(float) for n in NAMES) / sum(WEIGHTS.values())
    np.testing.assert_allclose(read.mean, mean, atol=2e-9)
    assert (read.weight, read.metrics) == (1966.0, {"count": 1966.0})


def test_what_one_site_sends_is_noise_to_the_server():
    _, plain = _plain()
    first, second = _masked(plain), _masked(plain)
    for name in NAMES:
        assert not np.any(first[name] == second[name])  # other keys, other masks
        shares = first[name] / 2.0**64
        assert abs(shares.mean() - 0.5) < 4 / np.sqrt(12 * 1027)  # uniform
        own = plain[name].view(np.int64).astype(float)
        seen = first[name].view(np.int64).astype(float)
        assert abs(np.corrcoef(own[:1025], seen[:1025])[0, 1]) < 4 / np.sqrt(1025)
    two = first["amber"] + first["birch"]  # without the third, masks stay
    with pytest.raises(Refused, match="got one under a mask"):
        from_fixed(two, ["count"])


@pytest.mark.parametrize(
    ("delta", "weight", "sentence"),
    [
        ([1e9], 10.0, "expected numbers whose sum over 3 sites stays below"),
        ([1.0], 1e9, "expected numbers whose sum over 3 sites stays below"),
        ([np.nan], 1.0, "stays below"),
        ([np.inf], 1.0, "stays below"),
        ([1e-10, 1e-10], 1.0, "rounding would change more than a thousandth"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_at_the_site(delta, weight, sentence):
    with pytest.raises(Refused, match=sentence):
        to_fixed(np.asarray(delta, np.float32), weight, {}, sites=3)


def test_keys_of_others_and_of_other_rounds_are_refused():
    secrets, told = _keys()
    verify = identity_of("amber").verify

    def read(told, names=NAMES, occasion="config 3"):
        return read_keys(json.dumps(told).encode(), names, occasion, verify)

    keys = read(told)
    forged = {
        **told,
        "birch": {**told["birch"], "key": new_secret().public_key().public_bytes_raw().hex()},
    }
    with pytest.raises(Refused, match="expected a key that birch signed"):  # by the server
        read(forged)
    with pytest.raises(Refused, match="expected a key that amber signed"):  # replayed
        read(told, occasion="config 4")
    with pytest.raises(Refused, match="expected those of amber, birch, cedar, got others"):
        read({name: told[name] for name in NAMES[:2]})
    with pytest.raises(Refused, match="expected those of"):
        read({**told, "dora": told["amber"]})
    for wrong in (b"{", b"[]", b'{"amber": 3}'):
        with pytest.raises(Refused, match="expected a signed key of every site"):
            read_keys(wrong, NAMES, "config 3", verify)
    with pytest.raises(Refused, match="this site's own key of this attempt"):
        mask(np.zeros(3, np.uint64), new_secret(), "amber", keys, "config 3")
    with pytest.raises(Refused, match="its sum would be its update"):
        mask(np.zeros(3, np.uint64), secrets["amber"], "amber", {"amber": keys["amber"]}, "x")
    zero = {**keys, "birch": bytes(32)}
    with pytest.raises(Refused, match="a key that hides nothing"):
        mask(np.zeros(3, np.uint64), secrets["amber"], "amber", zero, "x")


@pytest.fixture(scope="module")
def ended(scans, tmp_path_factory):
    """(a consortium under masks that ran, its last snapshot, all answers of sites)."""
    some = Consortium(
        scans, tmp_path_factory.mktemp("masked"), rounds=2, trainable="only_head()", masked=True
    )
    seen = []

    def listening(messages, deadline_s):
        for name, data in some.transport(messages):
            seen.append(unpack(data, limit=LIMIT))
            yield name, data

    return some, some.run(listening), seen


def test_a_run_under_masks_is_the_simulated_one_bit_for_bit(ended):
    some, state, _ = ended
    assert not some.refused
    simulated = some.simulated()
    for name, variables in simulated.variables.items():
        for ours, theirs in zip(
            jax.tree.leaves(some.models(state)[name]), jax.tree.leaves(variables), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_the_server_receives_no_number_of_a_single_update(ended):
    _, _, seen = ended
    kinds = [message.envelope.kind for message in seen]
    assert kinds.count("key") == kinds.count(MASKED) == 2 * 3
    assert "update" not in kinds
    for message in seen:
        if message.envelope.kind == MASKED:
            assert not message.envelope.scalars
            assert set(message.vectors) == {MASKED}


def test_a_site_that_is_lost_in_mid_round_costs_an_attempt_and_no_round(scans, tmp_path):
    some = Consortium(scans, tmp_path, rounds=1, trainable="only_head()", masked=True)
    lost = []

    def losing(messages, deadline_s):
        for name, data in some.transport(messages):
            if unpack(data, limit=LIMIT).envelope.kind == MASKED and name == "birch" and not lost:
                lost.append(name)
                some.workers.pop("birch").close()  # its process dies, and its key with it
                continue
            yield name, data

    state = some.run(losing)
    whole = Consortium(scans, tmp_path / "whole", rounds=1, trainable="only_head()", masked=True)
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(whole.run())):
        np.testing.assert_array_equal(ours, theirs)


def test_without_every_site_there_is_no_round(scans, tmp_path):
    some = Consortium(scans, tmp_path, rounds=1, trainable="only_head()", masked=True)

    def without(messages, deadline_s):
        return ((n, data) for n, data in some.transport(messages) if n != "cedar")

    with pytest.raises(
        ValueError, match="under masks: expected answers of at least 3 sites, got 2"
    ):
        some.run(without, some.side().rules._replace(fewest=2))


def test_an_order_without_keys_or_with_old_ones_gets_no_answer(scans, tmp_path):
    some = Consortium(scans, tmp_path, rounds=1, trainable="only_head()", masked=True)
    orders = []

    def keeping(messages, deadline_s):
        orders.extend(
            m for m in messages.values() if unpack(m, limit=LIMIT).envelope.kind == "train"
        )
        return some.transport(messages)

    some.run(keeping)
    order = unpack(orders[0], limit=LIMIT)
    with pytest.raises(
        Refused, match="expected those of all sites, since config.server.aggregator"
    ):
        some.worker("amber").receive(pack(order.envelope, {}))
    with pytest.raises(Refused, match="this site's own key of this attempt"):
        some.worker("amber").receive(pack(order.envelope, {KEYS: order.vectors[KEYS]}))
    plain = Consortium(scans, tmp_path / "plain", rounds=1, trainable="only_head()")
    plain.run()
    with pytest.raises(Refused, match="expected an order without numbers, got"):
        plain.worker("amber").receive(orders[0])


def test_only_a_sum_over_all_sites_is_run_under_masks(scans, tmp_path):
    server = {"aggregator": "masked_mean()", "sampling": "uniform(2)", "links": []}
    with pytest.raises(Refused, match="config.server.sampling: expected everyone"):
        require_runnable({"server": server})
    with pytest.raises(Refused, match="config.server.links"):
        require_runnable({"server": {**server, "sampling": "everyone()", "links": ["clip()"]}})
    require_runnable({"server": {**server, "sampling": "everyone()"}})
    whole = Consortium(scans, tmp_path, masked=True)  # batch statistics are averaged beside
    with pytest.raises(Refused, match="sends nothing beside the weights.*got model_state"):
        require_maskable(whole.terms, "masked_mean()")
    require_maskable(whole.terms, "weighted_mean()")


def test_a_site_may_demand_masks(scans, tmp_path):
    some = Consortium(scans, tmp_path, trainable="only_head()", masked=True)
    policy = Policy(
        "amber", tmp_path, "T1w", "", 20, 10, {}, {}, {}, {}, demands=Demands(masked=True)
    )
    job = {"config": {"server": {"aggregator": "median()"}}, "sites": NAMES}
    with pytest.raises(Refused, match=r"expected masked_mean\(\), since this site demands secure"):
        make_maskers(policy, job, [some.agreement], identity_of("amber"))
    assert make_maskers(policy._replace(demands=Demands()), job, [some.agreement], None) == {}
    masked = {**job, "config": {"server": {"aggregator": "masked_mean()"}}}
    assert make_maskers(policy, masked, [some.agreement], identity_of("amber"))
    with pytest.raises(Refused, match="expected a site with a certificate"):
        make_maskers(policy, masked, [some.agreement], None)
