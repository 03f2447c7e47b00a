"""Whether a site agrees to a job as its files are now. Asked before every answer, not only at the
start: whoever withdraws, takes back a target or an approval, or closes a field stops a job that
runs.
"""

from collections.abc import Mapping
from typing import Any

from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.approval import require_approval
from fedbrain.deploy.site_side.policy import Policy, consent
from fedbrain.deploy.site_side.withdrawal import require_not_withdrawn


def require_agreed(policy: Policy, job: Mapping[str, Any]) -> str:
    """The site's own data for a job, as `config.sites` names it.

    Args:
      policy: of the site.
      job: as the server sent it.

    Raises:
      Refused: when the site withdrew, or does not want this job.
      NotApproved: when a person has still to approve it.
    """
    if policy.name not in job["sites"]:
        raise Refused(f"sites: expected {policy.name} among {', '.join(job['sites'])}")
    require_not_withdrawn(policy.withdrawn, job)
    spec = consent(policy, job["config"], job["target"])
    if job.get("crossed") and not policy.crossed:
        raise Refused(
            "crossed: expected a job without it, since this site neither sends the model that it"
            " trains alone nor tests those of others (crossed in its site.toml), got one with it"
        )
    if policy.approval:
        require_approval(policy.approved, job)
    return spec
