"""Every site's model, trained alone, on every site's test people: in a job with `crossed`, a site
lends its model, and the others test it.

    lend      asks for the model: `lent`
    try       brings another site's model, whose number among the sites is `round`; a row of test
              results: `tried`
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import (
    Envelope,
    Message,
    Refused,
    Vectors,
    flatten,
    pack,
    schema,
    unflatten,
)
from fedbrain.types import PyTree, Variables


def require_crossed(job: Mapping[str, Any], *, splits: int) -> None:
    """Raises Refused when a job asks for crossed tests that cannot be; nothing for other jobs.

    Args:
      job: as it was sent.
      splits: that it has.
    """
    if "crossed" not in job:
        return
    if job["crossed"] is not True:
        raise Refused(f"crossed: expected true or no such field, got {job['crossed']!r}"[:200])
    regimes = job["config"].get("regimes", ())
    if "local" not in regimes or splits > 1:
        raise Refused(
            "crossed: expected a job with one split and the regime 'local', whose models are"
            f" tested, got {splits} splits and {regimes!r}"[:300]
        )


def model_outline(terms: Terms) -> dict[str, PyTree]:
    """Collection -> outlines of the arrays of a whole model.

    Args:
      terms: of the experiment.
    """
    return {name: terms.start[name] for name in ("params", "model_state")}


def _vectors(variables: Variables) -> dict[str, np.ndarray]:
    state = {name: part for name, part in variables.items() if name != "params"}
    return flatten({"params": variables["params"], "model_state": state})


def write_lent(terms: Terms, asked: Envelope, sender: str, variables: Variables) -> bytes:
    """Writes the model that a site trained alone.

    Args:
      terms: of the experiment.
      asked: envelope of the server's question.
      sender: the site's name.
      variables: of the model.
    """
    outline = schema(model_outline(terms))
    fields = ("lent", sender, asked.round, asked.nonce, terms.config, outline, {})
    return pack(Envelope(*fields), _vectors(variables))


def write_try(terms: Terms, vectors: Vectors, number: int, *, nonce: str) -> bytes:
    """Writes a model that another site trained, as it came.

    Args:
      terms: of the experiment.
      vectors: of the model.
      number: of that site, among all in the order of their names.
      nonce: random text that the answer must repeat.
    """
    fields = ("try", "server", number, nonce, terms.config, schema(model_outline(terms)), {})
    return pack(Envelope(*fields), vectors)


def read_try(terms: Terms, message: Message) -> Variables:
    """The model to be tested.

    Args:
      terms: of the experiment.
      message: from the server.

    Raises:
      Refused: for a model of another experiment, or with numbers that are not finite.
    """
    envelope, outline = message.envelope, model_outline(terms)
    if (envelope.config, envelope.schema) != (terms.config, schema(outline)) or envelope.scalars:
        raise Refused("try: expected a model of this experiment, got another message")
    for name, vector in message.vectors.items():
        if not np.isfinite(vector).all():
            raise Refused(f"{name}: expected finite numbers of the server, got others")
    trees = jax.tree.map(jnp.asarray, unflatten(message.vectors, outline))
    return {"params": trees["params"], **trees["model_state"]}
