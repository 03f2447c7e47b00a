"""Federated algorithms: client and server maths, cut at the network."""

from fedbrain.algorithms.client import ClientChain
from fedbrain.algorithms.fedacg import fedacg
from fedbrain.algorithms.fedadmm import fedadmm
from fedbrain.algorithms.feddc import feddc
from fedbrain.algorithms.feddyn import feddyn
from fedbrain.algorithms.federated import federated
from fedbrain.algorithms.fedlesam import fedlesam
from fedbrain.algorithms.fedsam import fedsam
from fedbrain.algorithms.left_out import report_left_out_loss
from fedbrain.algorithms.mime import mime, mimelite
from fedbrain.algorithms.moon import moon
from fedbrain.algorithms.personal import apfl, ditto, pfedme
from fedbrain.algorithms.reports import (
    report_discrepancy,
    report_fisher,
    report_gap,
    report_global_loss,
)
from fedbrain.algorithms.scaffold import scaffold
from fedbrain.algorithms.server import ServerChain
from fedbrain.algorithms.sharing import (
    Sharing,
    everything,
    only_head,
    without_batch_norm,
    without_head,
)
from fedbrain.algorithms.tuned import fedrep, fine_tuned, worker_momentum
from fedbrain.algorithms.variant import Variant, fedavg

SHARING = {
    "everything": everything,
    "without_batch_norm": without_batch_norm,  # FedBN
    "without_head": without_head,  # FedPer
    "only_head": only_head,
}

VARIANTS = {
    "fedavg": fedavg,
    "scaffold": scaffold,
    "feddyn": feddyn,
    "feddc": feddc,
    "fedadmm": fedadmm,
    "fedacg": fedacg,
    "fedsam": fedsam,
    "fedlesam": fedlesam,
    "moon": moon,
    "mime": mime,
    "mimelite": mimelite,
    "ditto": ditto,
    "apfl": apfl,
    "pfedme": pfedme,
    "fine_tuned": fine_tuned,
    "fedrep": fedrep,
    "worker_momentum": worker_momentum,
    "report_global_loss": report_global_loss,
    "report_fisher": report_fisher,
    "report_discrepancy": report_discrepancy,
    "report_gap": report_gap,
    "report_left_out_loss": report_left_out_loss,
}

# Arguments that an algorithm must have, in the tests of all algorithms and on their page.
EXAMPLES = {"ditto": "penalty=0.1", "fedrep": "head_steps=1", "report_discrepancy": "bins=2"}

__all__ = [
    "EXAMPLES",
    "SHARING",
    "VARIANTS",
    "ClientChain",
    "ServerChain",
    "Sharing",
    "Variant",
    "federated",
]
