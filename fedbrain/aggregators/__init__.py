"""Aggregation rules, and the links before them: optax transformations of a cohort's updates.

A rule is `update(pseudo_gradients[clients, ...], state, params, *, weights[clients], metrics, extra)
-> (direction, state)`. Configurations, contract tests and docs/aggregation.md are made from the two
tables below.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from fedbrain.aggregators.adjustment import generalization_adjustment
from fedbrain.aggregators.centred_clipping import centred_clipping
from fedbrain.aggregators.clipping import (
    adaptive_robust_clipping,
    clip_by_client_norm,
    clip_by_layer_norm,
    clip_by_median_norm,
    clip_by_quantile_norm,
)
from fedbrain.aggregators.cohort import chain
from fedbrain.aggregators.contribution import fedce
from fedbrain.aggregators.cost_weighted import fedcostwavg, fedpidavg, inverse_loss
from fedbrain.aggregators.discrepancy import feddisco
from fedbrain.aggregators.fair import agnostic, q_fedavg
from fedbrain.aggregators.fisher import fisher_mean
from fedbrain.aggregators.fixed_point import masked_mean
from fedbrain.aggregators.flame import flame
from fedbrain.aggregators.geometric_median import geometric_median
from fedbrain.aggregators.inverse_variance import inverse_variance
from fedbrain.aggregators.krum import bulyan, krum, multi_krum
from fedbrain.aggregators.mean import sqrt_mean, uniform_mean, weighted_mean
from fedbrain.aggregators.mixing import bucketing, nearest_neighbour_mixing
from fedbrain.aggregators.multi_gradient import fedmgda_plus
from fedbrain.aggregators.order_statistics import mean_around_median, median, trimmed_mean
from fedbrain.aggregators.private_mean import dp_fedavg, dp_fedavg_adaptive
from fedbrain.aggregators.private_tree import dp_ftrl
from fedbrain.aggregators.signs import gradient_masked_mean
from fedbrain.aggregators.similarity import regsimagg
from fedbrain.aggregators.spectral import divide_and_conquer, spectral_filter
from fedbrain.aggregators.statistics import BESIDE
from fedbrain.aggregators.step_size import fedexp, fednova
from fedbrain.aggregators.subsets import minimum_diameter, smallest_eigenvalue
from fedbrain.aggregators.trust import fltrust
from fedbrain.types import Aggregator


class Row(NamedTuple):
    """One rule, as configurations, tests and the page know it."""

    make: Callable[..., Aggregator]
    example: str  # its arguments in contract tests, on 9 clients of which 1 may be Byzantine
    formula: str
    needs: str  # beyond deltas and weights, and how many clients n present
    breakdown: str  # how many arbitrarily wrong clients it survives
    cost: str  # passes over the cohort: G = Gram matrix, A = alpha^T X, S = sorting network
    check: str  # what it is tested against

    def fewest(self, wrong: int) -> int | None:
        """Smallest number of clients of which so many may be wrong, by `breakdown`; None: no number
        is enough.

        >>> [RULES[name].fewest(1) for name in ("median", "krum", "bulyan", "weighted_mean")]
        [3, 5, 7, None]
        """
        bound = re.fullmatch(r"n (>|≥) (\d*)f(?:\+(\d+))?", self.breakdown)
        if not bound:
            return None
        sign, times, more = bound.groups()
        return int(times or 1) * wrong + int(more or 0) + (sign == ">")


_ROBUST, _LIBRARY, _FORMULA = "n > 2f", "byzfl", "written out in numpy"
_STUDY = "a study"
# Beside it the bound of the error, in tests/aggregators/test_oracles.py.
_COHORTS = "numpy on 200 cohorts: "

RULES = {
    "weighted_mean": Row(weighted_mean, "", "Σ pᵢxᵢ", "", "0", "A", "numpy, flwr"),
    "masked_mean": Row(masked_mean, "", "Σ pᵢxᵢ, in steps of 2⁻²⁸", "", "0", "A", "numpy"),
    "uniform_mean": Row(uniform_mean, "", "Σ xᵢ/n", "", "0", "A", "numpy, byzfl"),
    "sqrt_mean": Row(sqrt_mean, "", "Σ √nᵢ xᵢ / Σ √nᵢ", "", "0", "A", "numpy"),
    "inverse_loss": Row(inverse_loss, "", "aᵢ ∝ 1/cᵢ", "loss", "0", "A", _FORMULA),
    "fedcostwavg": Row(
        fedcostwavg, "clients=9", "aᵢ = αpᵢ + (1-α)kᵢ/Σk, k = c(t-1)/c(t)", "loss", "0", "A", _COHORTS + "1e-6"
    ),
    "fedpidavg": Row(
        fedpidavg, "clients=9", "aᵢ = αpᵢ + βkᵢ/Σk + γmᵢ/Σm, k = c(t-1)-c(t), m = Σc", "loss", "0", "A", _COHORTS + "1e-6"
    ),
    "regsimagg": Row(regsimagg, "", "layer by layer aᵢ = (uᵢ + pᵢ)/2, uᵢ ∝ 1/(||xᵢ-x̄||₁+ε)", "", "0", "2 passes", _COHORTS + "1e-14"),
    "inverse_variance": Row(inverse_variance, "variance=1.0", "aᵢ ∝ 1/(σ²/nᵢ + T²)", "", "0", "G + A", "meta-analysis"),
    "fisher_mean": Row(fisher_mean, "", "Σ Fᵢxᵢ / Σ Fᵢ, Fᵢ Fisher information", "Fisher information", "0", "2 passes", _FORMULA),
    "fedexp": Row(fedexp, "", "max(1, Σp||x||²/2(||x̄||²+ε)) x̄", "", "0", "G + A", _FORMULA),
    "fednova": Row(fednova, "", "(Σpa) Σ pᵢxᵢ/aᵢ", "steps", "0", "A", "closed form"),
    "q_fedavg": Row(
        q_fedavg, "q=1.0, learning_rate=0.1", "ΣF^q Lx / Σ(qF^(q-1)||Lx||² + LF^q)", "global_loss", "0", "A", _COHORTS + "1e-14"
    ),
    "agnostic": Row(agnostic, "clients=9", "Σ λᵢxᵢ, λ ← Π(λ + hF)", "global_loss", "0", "A", _FORMULA),
    "feddisco": Row(feddisco, "", "aᵢ ∝ max(0, pᵢ - a dᵢ + b)", "discrepancy", "0", "A", _COHORTS + "1e-14"),
    "generalization_adjustment": Row(
        generalization_adjustment, "clients=9, rounds=10", "Σ aᵢxᵢ, a ← max(0, a + d(1-r/R)/n gap/max|gap|)/Σ", "gap", "0", "A", _COHORTS + "3e-6"
    ),
    "fedce": Row(fedce, "clients=9", "aᵢ ∝ mean(1 - cos(xᵢ, Σⱼ≠ᵢaⱼxⱼ)) mean(Fᵢ(w without i))", "left-out loss", "0", "G + A", _COHORTS + "2e-6"),
    "fedmgda_plus": Row(fedmgda_plus, "", "min ||Σλx/||x||||², |λ-p| ≤ ε", "", "0", "G + A", "KKT conditions; scipy on 200 cohorts: 1e-3"),
    "gradient_masked_mean": Row(gradient_masked_mean, "", "x̄ (1 if A ≥ τ else A), A = |Σp sign x|", "", "0", "1 pass", "declearn"),
    "median": Row(median, "", "medᵢ xᵢ", "", _ROBUST, "S", "byzfl, flwr"),
    "trimmed_mean": Row(trimmed_mean, "num_byzantine=1", "mean of ranks f..n-f", "n > 2f", _ROBUST, "S", "byzfl, flwr"),
    "mean_around_median": Row(
        mean_around_median, "num_byzantine=1", "mean of the n-f nearest to the median", "n > 2f", _ROBUST, "S", _LIBRARY
    ),
    "krum": Row(krum, "num_byzantine=1", "argminᵢ Σ ||xᵢ-xⱼ||², n-f-2 nearest", "n ≥ 2f+3", "n ≥ 2f+3", "G + A", "byzfl, flwr"),
    "multi_krum": Row(multi_krum, "num_byzantine=1", "mean of the n-f best", "n ≥ 2f+3", "n ≥ 2f+3", "G + A", _LIBRARY),
    "bulyan": Row(bulyan, "num_byzantine=1", "iterated Krum, then mean around median", "n ≥ 4f+3", "n ≥ 4f+3", "G + S", "numpy; flwr up to ties"),
    "geometric_median": Row(geometric_median, "", "argmin Σ||z-xᵢ||", "", _ROBUST, "G + A", "byzfl; Newton on 200 cohorts: 1e-5"),
    "centred_clipping": Row(
        centred_clipping, "radius=1.0", "v + mean (xᵢ-v) min(1, τ/||xᵢ-v||)", "", "n > 10f", "G + A", _LIBRARY
    ),
    "spectral_filter": Row(spectral_filter, "num_byzantine=1", "CAF: shrink along the top eigenvector", "n > 2f", _ROBUST, "G + A", _COHORTS + "1e-13"),
    "divide_and_conquer": Row(
        divide_and_conquer, "num_byzantine=1", "drop the farthest along the top singular vector", "n > 2f", _ROBUST, "A", _COHORTS + "1e-14"
    ),
    "minimum_diameter": Row(minimum_diameter, "num_byzantine=1", "n-f clients of smallest diameter", "n > 2f", _ROBUST, "G + A", "numpy; byzfl up to ties"),
    "smallest_eigenvalue": Row(
        smallest_eigenvalue, "num_byzantine=1", "SMEA: n-f clients of smallest λmax", "n > 2f", _ROBUST, "G + A", _COHORTS + "1e-14"
    ),
    "fltrust": Row(fltrust, "", "Σ relu(cos) ||x₀||/||xᵢ|| xᵢ / Σ relu(cos)", "trusted", "n > f", "G + A", _COHORTS + "1e-13"),
    "dp_fedavg": Row(
        dp_fedavg, "expected=9, clip_norm=100.0, noise_multiplier=0.0", "(Σ min(1, C/||xᵢ||) xᵢ + sC N(0, I))/m", _STUDY, "0", "2 passes", _FORMULA
    ),
    "dp_fedavg_adaptive": Row(
        dp_fedavg_adaptive, "expected=9, noise_multiplier=0.0, count_noise=0.0, initial=100.0",
        "the same, C ← C exp(-η(b - γ)), b a share with noise", _STUDY, "0", "2 passes", _FORMULA,
    ),
    "dp_ftrl": Row(
        dp_ftrl, "expected=9, clip_norm=100.0, noise_multiplier=0.0", "(Σ min(1, C/||xᵢ||) xᵢ + Zₜ - Zₜ₋₁)/m, Z of a tree", _STUDY, "0", "2 passes", _FORMULA
    ),
    "flame": Row(flame, "noise=0.0", "majority cluster of cosines, clip to median norm", "", _ROBUST, "G + A", "scikit-learn HDBSCAN; numpy on 200 cohorts: 1e-13"),
}  # fmt: skip

LINKS = {
    "clip_by_client_norm": Row(clip_by_client_norm, "1.0", "min(1, M/||xᵢ||) xᵢ", "", "", "2 passes", _LIBRARY),
    "clip_by_layer_norm": Row(clip_by_layer_norm, "1.0", "layer by layer min(1, M/(√m ||xᵢ||)) xᵢ, m layers", "", "", "2 passes", _FORMULA),
    "clip_by_median_norm": Row(clip_by_median_norm, "", "the same, M = median norm", "", "", "2 passes", _FORMULA),
    "clip_by_quantile_norm": Row(
        clip_by_quantile_norm, "", "S ← S exp(-η(share - γ))", "", "", "2 passes", "converges to the quantile"
    ),
    "adaptive_robust_clipping": Row(
        adaptive_robust_clipping, "num_byzantine=1", "clip the ⌊2f(n-f)/n⌋ longest", "", "", "2 passes", _LIBRARY
    ),
    "nearest_neighbour_mixing": Row(
        nearest_neighbour_mixing, "num_byzantine=1", "xᵢ ← mean of its n-f nearest", "", "", "G + 1 pass", _LIBRARY
    ),
    "bucketing": Row(bucketing, "size=2", "means of random buckets", "", "", "1 pass", "sums are kept, alike clients stay alike"),
}  # fmt: skip

# rules that claim differential privacy of clients: what else a study may choose is checked
PRIVATE = frozenset({"dp_fedavg", "dp_fedavg_adaptive", "dp_ftrl"})
AGGREGATORS = {name: row.make for name, row in RULES.items()}
KEEPING = {name: row.make for name, row in LINKS.items()}

__all__ = ["AGGREGATORS", "BESIDE", "KEEPING", "LINKS", "PRIVATE", "RULES", "Row", "chain"]
