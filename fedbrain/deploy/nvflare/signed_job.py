"""Who signed a job. The engine takes jobs that anybody of the consortium signed, also with the
server's key: a site takes those of the lead alone.
"""

# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false

from pathlib import Path

from nvflare.lighter.utils import verify_folder_signature_and_get_signers

from fedbrain.deploy.protocol.wire import Refused

LEADS = "project_admin"  # the role in the certificates of leads; servers and sites have none


def require_signed_by_lead(app: Path, kit: Path) -> None:
    """Raises Refused for files of a job that a lead of the consortium did not sign, each of them.

    Args:
      app: the job's folder at the site.
      kit: of the site, for the authority's certificate.
    """
    root = kit / "startup/rootCA.pem"
    intact, signers = verify_folder_signature_and_get_signers(str(app), str(root))
    if not intact or not signers:
        raise Refused("job: expected files that the consortium's lead signed, got others")
    for name, _, role in signers:
        if role != LEADS:
            raise Refused(
                f"job: expected the signature of the consortium's lead, got {name[:80]}'s"
            )
