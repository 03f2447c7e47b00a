"""The same image under two names: in two sites, or for two people of one site."""

import hashlib
from collections.abc import Mapping

from fedbrain.data.dataset import Elsewhere, Scans, Volumes
from fedbrain.data.prepared_file import DamagedError, read_checksum
from fedbrain.data.scan_report import Report


def checksums(scans: Scans) -> list[bytes]:
    """One digest for each scan, of its first modality: of the image or its prepared volume."""
    return [_checksum(scans, i) for i in range(len(scans))]


def _checksum(scans: Scans, i: int) -> bytes:
    volumes = scans.volumes
    if isinstance(volumes, Volumes) and volumes.digests:
        return volumes.digests[i]
    if isinstance(volumes, Elsewhere):
        return volumes.checksums[i]
    path = volumes.paths[i][0] if isinstance(volumes, Volumes) else None
    if path is not None and isinstance(volumes, Volumes):
        try:
            return read_checksum(path, volumes.shape)
        except DamagedError:
            pass  # it is made anew when its voxels are read
    return hashlib.blake2b(volumes[i][..., 0].tobytes(), digest_size=8).digest()


def note_same_scans(sites: Mapping[str, Scans], reports: Mapping[str, Report]) -> None:
    """Writes into the reports which images a site has twice or shares with another site.

    Such people count twice, and may be trained on under one name and tested under the other.

    Args:
      sites: name -> scans as they were prepared.
      reports: name -> report of the site.
    """
    digests = {name: checksums(scans) for name, scans in sites.items()}
    for name, scans in sites.items():
        first: dict[bytes, str] = {}
        for scan, digest in zip(scans.ids, digests[name]):
            if digest in first:
                reports[name].note(
                    "the same image under two names",
                    f"{scan} has the image of {first[digest]}. Exclude one of them.",
                )
            first.setdefault(digest, scan)
        for other in sites:
            theirs = dict(zip(digests[other], sites[other].ids)) if other != name else {}
            same = [scan for scan, digest in zip(scans.ids, digests[name]) if digest in theirs]
            if same:
                example = theirs[digests[name][scans.ids.index(same[0])]]
                reports[name].note(
                    "images that another site has too",
                    f"{len(same)} of {len(scans)} scans hold the same images as scans of {other},"
                    f" {same[0]} for instance that of {example}. These people count twice, and may"
                    " train one model and test it: name another folder, or exclude them.",
                )


def require_scans(name: str, scans: Scans, report: Report) -> None:
    """Raises ValueError with the reasons when a site has no usable scan."""
    if len(scans):
        return
    reasons = [
        f"{len(lines)} x {why}, for instance: {lines[0]}" for why, lines in report.left_out.items()
    ]
    detail = " ".join(reasons or report.notes.get("no such image", ()))
    raise ValueError(
        f"sites.{name}: expected at least one usable scan with a label, got none of {report.found}"
        f" found. {detail}"
    )
