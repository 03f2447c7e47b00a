"""Questions beside the rounds, each asked once, and the numbers that answer them.

    sums      sums of products over training people, for a linear regression: `summed`
    fit       the regression; a row of its test results: `fitted`
    describe  tables of the cohort: `described`
    lend      see `crossed`

`round` of the message is the number of the regression, or 0. A site answers only what its
`site.toml` opens.
"""

from collections.abc import Mapping

from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import Envelope, pack, schema
from fedbrain.experiments.config import Experiment

QUESTIONS = ("sums", "fit", "describe", "lend")
NUMBERS = ("summed", "described")  # kinds of answers whose numbers follow from the job


def count_beside(experiment: Experiment) -> dict[str, int]:
    """Kind of question -> how many of them an experiment has, in each split.

    Args:
      experiment: of the job.
    """
    regressions = len(experiment.baselines)
    return {"sums": regressions, "fit": regressions, "describe": int(bool(experiment.describe))}


def write_beside(
    terms: Terms, kind: str, number: int, *, nonce: str, scalars: Mapping[str, float] | None = None
) -> bytes:
    """Writes a question.

    Args:
      terms: of the experiment.
      kind: of the question.
      number: of the regression, or 0.
      nonce: random text that the answer must repeat.
      scalars: of the question.
    """
    told = dict(scalars or {})
    return pack(
        Envelope(kind, "server", number, nonce, terms.config, schema(terms.question), told), {}
    )


def write_numbers(
    terms: Terms, asked: Envelope, sender: str, kind: str, scalars: Mapping[str, float]
) -> bytes:
    """Writes an answer of numbers.

    Args:
      terms: of the experiment.
      asked: envelope of the server's question.
      sender: the site's name.
      kind: of the answer.
      scalars: name -> number, all finite.
    """
    fields = (kind, sender, asked.round, asked.nonce, terms.config, schema({}), dict(scalars))
    return pack(Envelope(*fields), {})
