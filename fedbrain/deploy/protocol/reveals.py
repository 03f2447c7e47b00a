"""What each algorithm sends of a hospital's people beyond the change of the weights.

`fedbrain what-leaves` writes the table into docs/what_leaves.md. A site runs what
is not `opened` here only when its `site.toml` names it.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Reveals(NamedTuple):
    """One algorithm."""

    opened: bool  # whether a site runs it without naming it
    sent: str  # beyond the change of the shared weights and the batch statistics
    note: str  # what this tells of people


_DELTA = "the sum of several steps; a single step is not told apart"
_OWN = "the sum of several steps; the site's own model stays"

ALGORITHMS: Mapping[str, Reveals] = {
    "fedavg": Reveals(True, "nothing", _DELTA),
    "scaffold": Reveals(
        False,
        "the change of the mean gradient",
        "for small learning rates the gradient of all people",
    ),
    "feddyn": Reveals(True, "nothing", _DELTA),
    "feddc": Reveals(
        False,
        "the mean of the gradients that were followed",
        "for small learning rates the gradient of all people",
    ),
    "fedadmm": Reveals(True, "nothing", _DELTA),
    "fedacg": Reveals(True, "nothing", _DELTA),
    "fedsam": Reveals(True, "nothing", _DELTA),
    "fedlesam": Reveals(True, "nothing", _DELTA),
    "moon": Reveals(True, "nothing", _OWN),
    "mime": Reveals(
        False, "the gradient at the server's weights", "exact, of all training people together"
    ),
    "mimelite": Reveals(
        False,
        "the gradient at the server's weights",
        "exact, of all training people together: two that differ by one person give that person's",
    ),
    "ditto": Reveals(True, "nothing", _OWN),
    "apfl": Reveals(True, "nothing", _OWN),
    "pfedme": Reveals(True, "nothing", _OWN),
    "fine_tuned": Reveals(True, "nothing", _OWN),
    "fedrep": Reveals(True, "nothing", _OWN),
    "worker_momentum": Reveals(True, "nothing", "mixes gradients of earlier rounds into the sum"),
    "report_global_loss": Reveals(
        False, "the mean training loss of the server's weights", "exact, over all training people"
    ),
    "report_fisher": Reveals(
        False, "squares of gradients, averaged over steps", "the size of every gradient"
    ),
    "report_discrepancy": Reveals(
        False,
        "how far the labels of all training people are from evenly spread over bins",
        "exact; bins that tell one person from the others are a question about that person",
    ),
    "report_gap": Reveals(
        False,
        "the mean training loss of the server's weights minus that of the site's own last model",
        "exact, over all training people",
    ),
    "report_left_out_loss": Reveals(
        False,
        "the mean training loss of the server's weights without the site's share, and the length of"
        " its change",
        "exact, over all training people",
    ),
}
