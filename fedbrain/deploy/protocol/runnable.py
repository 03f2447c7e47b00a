"""What a consortium can compute of an experiment. The rest is refused with its reason before
anything is sent; nothing is accepted and ignored.
"""

from collections.abc import Mapping
from typing import Any

from fedbrain.deploy.protocol.first_model import read_start
from fedbrain.deploy.protocol.linear import read_linear
from fedbrain.deploy.protocol.masked import is_masked
from fedbrain.deploy.protocol.wire import Refused

EXACT = {  # of people who train: not under differential privacy -> why
    "baselines": "sums of products have no noise",
    "describe": "tables have no noise",
}
TOGETHER, ALONE = "federated", "local"  # regimes: all sites together, each site alone
REASONS = {  # regime of simulations -> why hospitals cannot have it
    "centralised": ", which would bring all scans to one place",
    "leave_one_site_out": ", which tests a model at a site that does not train it. Leave a site out"
    " of the consortium's job, and let it test the model by fedbrain predict",
}
# field -> calls that it may hold, why it holds no other
CALLS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "partition": (("by_site",), "a client is a hospital"),
    "driver": (("auto", "loop"), "a site computes one client"),
    "loss": (("l1", "l2", "huber", "soft_bins"), "a site reports errors of numbers, not classes"),
    "residence": (("auto", "streamed"), "a site reads its scans from its disk"),
}


def require_runnable(config: Mapping[str, Any]) -> None:
    """Raises Refused for what a simulation can do and a consortium cannot.

    Args:
      config: of a job; what it lacks is another check's.
    """
    _require_splits(config)
    regimes = config.get("regimes", (TOGETHER,))
    _require_regimes(regimes)
    if ALONE in regimes and not privacy_of(config).startswith("none"):
        raise Refused(
            f"config.regimes: expected {TOGETHER!r} alone under config.client.privacy, since a row"
            f" about a model that a site trains alone has no noise, got {ALONE!r} too"
        )
    _require_sum(config.get("server"))
    for field, (names, reason) in CALLS.items():
        value = str(config.get(field, names[0]))
        if value.split("(")[0].strip() not in names:
            wanted = " or ".join(f"{name}()" for name in names)
            raise Refused(f"config.{field}: expected {wanted}, since {reason}, got {value[:80]!r}")
    regressions = read_linear(config.get("baselines", ()))
    if not str(config.get("harmonise", "none()")).startswith("none"):
        _require_voxels(config, with_model=any(regression.run for regression in regressions))
    for field, reason in EXACT.items():
        if config.get(field) and not privacy_of(config).startswith("none"):
            raise Refused(
                f"config.{field}: expected () under config.client.privacy, since {reason}, got"
                f" {str(config[field])[:80]}"
            )
    read_start(config)


def _require_sum(server: Any) -> None:
    """Under masks the server sees the sum over all sites, and nothing that it could leave out."""
    if not isinstance(server, Mapping) or not is_masked(str(server.get("aggregator", ""))):
        return
    for field, call in (("sampling", "everyone()"), ("links", ())):
        value = server.get(field, call)
        if (str(value).split("(")[0] != "everyone") if field == "sampling" else bool(value):
            raise Refused(
                f"config.server.{field}: expected {call} under secure aggregation, since masks"
                f" cancel in the sum over all sites, got {str(value)[:80]!r}"
            )


def _require_voxels(config: Mapping[str, Any], *, with_model: bool) -> None:
    """Sums of voxels have no masks, and a model of other images has not seen these."""
    server = config.get("server")
    rule = server.get("aggregator", "") if isinstance(server, Mapping) else ""
    reasons = {
        "under secure aggregation, since sums of voxels have no masks": is_masked(str(rule)),
        "beside a regression with a model, which was trained on other images": with_model,
    }
    for reason, holds in reasons.items():
        if holds:
            raise Refused(f"config.harmonise: expected none() {reason}, got voxelwise()")


def privacy_of(config: Mapping[str, Any]) -> str:
    """`client.privacy` of a job, as it is written; "none()" where it is not.

    Args:
      config: of a job.
    """
    client = config.get("client")
    return str(client.get("privacy", "none()") if isinstance(client, Mapping) else "none()").strip()


def _require_splits(config: Mapping[str, Any]) -> None:
    splits = config.get("splits")
    splits = splits if isinstance(splits, Mapping) else {}
    if [splits.get(name, 1) for name in ("repeats", "inner")] == [1, 1]:
        return
    one = "config.splits: expected repeats=1 and inner=1"
    if not str(config.get("initial", "random()")).startswith("random"):
        raise Refused(
            f"{one} in a job that starts from a model, since it names one and every split would"
            " start from another. The seeds of a study have other test people each"
        )
    if not privacy_of(config).startswith("none"):
        raise Refused(
            f"{one} under config.client.privacy, since a person is in several splits, and what is"
            " told of one would be more than epsilon says"
        )


def _require_regimes(regimes: Any) -> None:
    names = [str(name) for name in regimes] if isinstance(regimes, list | tuple) else []
    others = sorted(set(names) - {TOGETHER, ALONE})
    if others or TOGETHER not in names:
        got = f"{others[0][:40]!r}" if others else f"no {TOGETHER!r}"
        reason = next((REASONS[name] for name in others if name in REASONS), "")
        raise Refused(
            f"config.regimes: expected {TOGETHER!r}, and {ALONE!r} where each site also trains"
            f" alone, got {got}{reason}"
        )


def count_splits(config: Mapping[str, Any]) -> int:
    """How many splits a job has.

    Args:
      config: of the job.
    """
    return int(config["splits"]["repeats"]) * int(config["splits"]["inner"])
