"""How the images of sites differ in ways that a network would learn in place of people."""

from collections.abc import Iterator, Sequence

from fedbrain.data.scan_report import Report, Size, size_text

WIDELY = 1.5  # ratio of two sites' longest or shortest edges; arbitrary
MIXED = 0.1  # of a site's scans; arbitrary
SAME_PEOPLE = ("images that another site has too", "the same image under two names")


def differences(reports: Sequence[Report], mask: str) -> Iterator[str]:
    """Sentences on skulls, voxel sizes and people that come twice.

    Args:
      reports: of all sites.
      mask: of the recipe: `foreground`, `nonzero` or a derivative.
    """
    yield from _skulls([r for r in reports if r.looked_at and r.voxel_sizes_mm], mask)
    yield from _voxel_sizes(reports)
    for report in reports:
        for reason in SAME_PEOPLE:
            for sentence in report.notes.get(reason, [])[:1]:
                yield f"{report.site}: {reason}: {sentence}"


def _skulls(reports: Sequence[Report], mask: str) -> Iterator[str]:
    shares = {report.site: report.without_skull / report.looked_at for report in reports}
    without = [site for site, share in shares.items() if share > 0.5]
    heads = [site for site, share in shares.items() if share <= 0.5]
    for report in reports:
        if MIXED <= shares[report.site] <= 1 - MIXED:
            yield (
                f"{report.site}: {report.without_skull} of {report.looked_at} images look"
                " skull-stripped, the others do not. Use one kind: name a pipeline, or exclude the"
                " others."
            )
    if without and heads and mask in ("foreground", "nonzero"):
        yield (
            f"{_and(without)} {_looks(without)} skull-stripped, {_and(heads)} {_looks(heads)} not:"
            " a network tells such sites apart at once. Strip all of them (pipeline=...), or give"
            " brain masks in config.prepare."
        )
    elif without and mask == "foreground":
        yield (
            f"{_and(without)} {_looks(without)} skull-stripped: mask='nonzero' in config.prepare"
            " takes the brain as it is; 'foreground' guesses it."
        )
    elif heads and mask == "nonzero":
        yield (
            f"{_and(heads)} {_looks(heads)} like whole heads: mask='nonzero' in config.prepare"
            " takes all of it for brain. Use mask='foreground', or skull-stripped images."
        )


def _voxel_sizes(reports: Sequence[Report]) -> Iterator[str]:
    sizes = {r.site: commonest(r) for r in reports if r.voxel_sizes_mm}
    if len(sizes) < 2:
        return
    fine = min(sizes, key=lambda site: (sizes[site][2], sizes[site]))
    coarse = max(sizes, key=lambda site: (sizes[site][2], sizes[site]))
    ratio = max(b / a for a, b in zip(sizes[fine], sizes[coarse]) if a > 0)
    if ratio >= WIDELY:
        yield (
            f"voxels are {size_text(sizes[fine])} mm at {fine} and {size_text(sizes[coarse])} mm at"
            f" {coarse}: images of {coarse} hold less detail, which a network can tell. Compare"
            " sites with care, or choose voxels in config.prepare that both sites have."
        )


def commonest(report: Report) -> Size:
    """The voxel size of most of a site's scans.

    Args:
      report: with at least one size.
    """
    return max(report.voxel_sizes_mm.items(), key=lambda row: (row[1], row[0]))[0]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _looks(names: Sequence[str]) -> str:
    return "looks" if len(names) == 1 else "look"
