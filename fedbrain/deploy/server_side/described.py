"""Tables of the sites' cohorts at the server: moments, tests and distances from what sites tell."""

import secrets
from typing import Any

from fedbrain.analysis.data_table import compare_sites
from fedbrain.deploy.protocol.beside import write_beside
from fedbrain.deploy.protocol.described import described_names, read_described
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.server_side.exchange import Asked, Side, ask


def collect_described(side: Side) -> tuple[dict[str, Any], dict[str, str]]:
    """Asks every site for its tables, if the job says so.

    Args:
      side: the server's, of the first split.

    Returns:
      (see `compare_sites`, sites that tell nothing -> why).
    """
    columns = side.agreement.experiment.describe
    if not columns:
        return {}, {}
    nonce = secrets.token_hex(16)
    question = write_beside(side.agreement.terms, "describe", 0, nonce=nonce)
    asked = Asked("described", 0, nonce, question, described_names(columns))
    answers = ask(side, side.sites, asked)
    told, untold = {}, dict(answers.left_out)
    for name in sorted(answers.admitted):
        try:
            declared = side.sites[name]
            scans = declared.train + declared.valid + declared.test
            told[name] = read_described(columns, answers.admitted[name].envelope.scalars, scans)
        except Refused as error:
            side.notify(name, str(error))
            untold[name] = str(error)
    return (compare_sites(told) if told else {}), untold
