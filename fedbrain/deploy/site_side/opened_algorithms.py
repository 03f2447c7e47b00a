"""The range of every argument of an algorithm that a job may call at a site.

An algorithm without a row runs at no site. Whether one with a row runs where `site.toml` does not
name it is said in `fedbrain.deploy.protocol.reveals`.
"""

from collections.abc import Mapping

from fedbrain.deploy.site_side.bounds import Bound, number, whole

RANGES: Mapping[str, Mapping[str, Bound]] = {
    "fedavg": {},
    "scaffold": {},
    "feddyn": {"alpha": number(1e-4, 10)},
    "feddc": {"alpha": number(1e-4, 10)},
    "fedadmm": {"penalty": number(1e-4, 100)},
    "fedacg": {"momentum": number(0, 0.999), "penalty": number(0, 10)},
    "fedsam": {"rho": number(1e-6, 10)},
    "fedlesam": {"rho": number(1e-6, 10)},
    "moon": {"penalty": number(0, 100), "temperature": number(0.01, 100)},
    "mime": {"beta": number(0, 0.999)},
    "mimelite": {"beta": number(0, 0.999)},
    "ditto": {"penalty": number(0, 100)},
    "apfl": {"mixture": number(0, 1), "learning_rate": number(1e-5, 1)},
    "pfedme": {
        "penalty": number(0, 100),
        "inner_steps": whole(1, 50),
        "inner_learning_rate": number(1e-5, 1),
    },
    "fine_tuned": {},
    "fedrep": {"head_steps": whole(0, 10_000)},
    "worker_momentum": {"beta": number(0, 0.999)},
    "report_global_loss": {},
    "report_fisher": {"damping": number(1e-12, 1e3)},
    "report_discrepancy": {
        "bins": whole(2, 50),
        "low": number(-1e4, 1e4),
        "width": number(0.1, 1e4),
    },
    "report_gap": {},
    "report_left_out_loss": {},
}
