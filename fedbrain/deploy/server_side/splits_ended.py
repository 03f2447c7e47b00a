"""The splits of a run whose rounds are over, as the questions at its end need them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fedbrain.deploy.server_side.exchange import Side
from fedbrain.experiments.round_end import Snapshot


class Ended(NamedTuple):
    """One split of a run, whose rounds are over."""

    side: Side  # the server's
    snapshot: Snapshot  # after the last round
    folder: Path  # of its federation


def with_tests_of_all(ended: Sequence[Ended]) -> Side:
    """The last split's side, whose sites have the test scans of all repeats, and the validation
    scans of all splits: what the rows at the end are of.

    Args:
      ended: splits of the run.
    """
    last = ended[-1]
    of_repeat = {e.side.agreement.split_id.repeat: e.side.sites for e in ended}.values()
    sites = {
        name: site._replace(
            test=sum(sites[name].test for sites in of_repeat),
            valid=sum(e.side.sites[name].valid for e in ended),
        )
        for name, site in last.side.sites.items()
    }
    return last.side._replace(sites=sites)
