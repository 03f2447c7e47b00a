"""Voxel-wise ComBat of a job, before its first round: the messages between server and site.

    means     asks for sums of voxels over training scans: `averaged`
    spread    brings alpha and beta; sums of squared residuals: `squared`
    shift     brings sigma too; the site's own shift stays there, and no number comes: `shifted`

The names of vectors are the fields of `fedbrain.data.voxel_combat`.
"""

import math
from collections.abc import Mapping

import jax
import numpy as np

from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import (
    Envelope,
    Message,
    Refused,
    Vectors,
    pack,
    schema,
    unflatten,
)
from fedbrain.experiments.compiled import image_shape
from fedbrain.experiments.config import Experiment

ANSWERS = {"means": "averaged", "spread": "squared", "shift": "shifted"}  # question -> answer
Outline = Mapping[str, jax.ShapeDtypeStruct]


def _outlines(experiment: Experiment) -> dict[str, Outline]:
    """Kind of message -> its vectors; empty without harmonisation."""
    if experiment.harmonise is None:
        return {}
    v, k = math.prod(image_shape(experiment)), len(experiment.harmonise.columns)
    sizes = {
        "means": {},
        "averaged": {"covariates": 1 + k + k * k, "total": v, "products": k * v},
        "spread": {"height": v, "slopes": k * v},
        "squared": {"squares": v},
        "shift": {"height": v, "slopes": k * v, "sigma": v},
        "shifted": {},
    }
    return {
        kind: {name: jax.ShapeDtypeStruct((size,), np.float32) for name, size in of_kind.items()}
        for kind, of_kind in sizes.items()
    }


def told_outlines(experiment: Experiment) -> dict[str, Outline]:
    """Kind of answer -> its vectors; empty without harmonisation.

    Args:
      experiment: of the job.
    """
    return {k: v for k, v in _outlines(experiment).items() if k in ANSWERS.values()}


def write_voxels(
    terms: Terms,
    experiment: Experiment,
    kind: str,
    vectors: Vectors,
    *,
    nonce: str,
    sender: str = "server",
) -> bytes:
    """Writes a message of either side.

    Args:
      terms: of the experiment.
      experiment: of the job.
      kind: of the message.
      vectors: that it brings.
      nonce: random text of the question.
      sender: a site, or the server.

    Raises:
      Refused: for numbers that are not finite: nothing is sent then.
    """
    require_finite(vectors)
    outline = schema(_outlines(experiment)[kind])
    return pack(Envelope(kind, sender, 0, nonce, terms.config, outline, {}), vectors)


def read_voxels(terms: Terms, experiment: Experiment, message: Message) -> Vectors:
    """The vectors of a message of the server.

    Args:
      terms: of the experiment.
      experiment: of the job.
      message: as it came.

    Raises:
      Refused: for a message of another experiment or of another form.
    """
    envelope, outline = message.envelope, _outlines(experiment)[message.envelope.kind]
    if (envelope.config, envelope.schema) != (terms.config, schema(outline)) or envelope.scalars:
        raise Refused(f"{envelope.kind}: expected voxels of this experiment, got another message")
    unflatten(message.vectors, outline)
    require_finite(message.vectors)
    return message.vectors


def require_finite(vectors: Vectors) -> None:
    """Raises Refused for numbers that are not finite.

    Args:
      vectors: name -> numbers.
    """
    for name, vector in vectors.items():
        if not np.isfinite(vector).all():
            raise Refused(f"{name}: expected finite numbers, got others")
