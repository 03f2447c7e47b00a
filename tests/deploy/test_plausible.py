"""Numbers that an answer cannot have: they are refused at the server, whatever the rule is."""

import numpy as np
import pytest

from fedbrain.deploy.protocol.answers import require_answer
from fedbrain.deploy.protocol.plausible import numbers_of, scalar_bounds
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.terms import make_terms
from fedbrain.deploy.protocol.wire import Envelope, Message, Refused, flatten
from tests import tiny


@pytest.fixture(scope="module")
def terms():
    algorithm, variables = tiny.algorithm(tiny.task()), tiny.variables(tiny.task())
    return make_terms(algorithm, variables, tiny.example(), sites=3, config="c"), variables


def _update(terms, variables, variance):
    sizes = numbers_of(terms.answer)
    vectors = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    state = {"model_state": {k: v for k, v in variables.items() if k != "params"}}
    vectors |= {k: v.copy() for k, v in flatten(state).items()}
    model_state = vectors["model_state"]
    assert model_state.max() == 1  # variances before the first step
    model_state[np.argmax(model_state)] = variance
    scalars = dict.fromkeys(("weight", *terms.metrics), 1.0)
    return Message(Envelope("update", "amber", 0, "n", "c", "s", scalars), vectors)


@pytest.mark.parametrize("variance", [1e30, -1.0, 0.0])
def test_a_variance_that_is_none_is_refused(terms, variance):
    terms, variables = terms
    require_answer(terms, _update(terms, variables, 1.5))
    with pytest.raises(Refused, match="expected variances above 0"):
        require_answer(terms, _update(terms, variables, variance))


def test_sums_and_counts_are_bounded_by_what_a_site_declared():
    site = Registration(40, 10, 10, False)
    bounds = scalar_bounds("update", site, batch_size=8, epochs=2)
    assert bounds["steps"] == (1, 10)
    assert bounds["count"] == (0, 80)
    assert bounds["loss"][0] == 0
    assert scalar_bounds("validated", site, batch_size=8, epochs=2)["loss"] == (0, 1e7)
    assert scalar_bounds("reported", site, batch_size=8, epochs=2)["r"] == (-1, 1)
