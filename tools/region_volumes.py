"""Writes a table of region volumes, from the segmentations of a BIDS derivative.

It is for `arrays(..., table=...)`.

Command: python -m tools.region_volumes --bids=ROOT --pipeline=dlmuse --output=FILE.tsv \
    --region=ventricles_ml:4,11,49,50,51,52 --region=brain_ml:
A region without labels is everything that is not 0. Labels of MUSE: third and fourth ventricle 4,
11; inferior lateral 49, 50; lateral 51, 52.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from absl import app, flags

from fedbrain.data.tables import write_table

BIDS = flags.DEFINE_string("bids", None, "Root of the tree.", required=True)
PIPELINE = flags.DEFINE_string("pipeline", None, "Folder in derivatives/.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "The table to write.", required=True)
REGION = flags.DEFINE_multi_string("region", None, "NAME:LABEL,LABEL,...", required=True)


def volumes_ml(path: Path, regions: dict[str, list[int]]) -> list[str]:
    """Of every region, mL."""
    image = nib.load(path)  # pyright: ignore[reportPrivateImportUsage]
    labels = np.asarray(image.dataobj).round().astype(int)  # pyright: ignore[reportAttributeAccessIssue]
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000  # pyright: ignore[reportAttributeAccessIssue]
    return [
        f"{(np.isin(labels, which) if which else labels > 0).sum() * voxel_ml:.3f}"
        for which in regions.values()
    ]


def main(argv: list[str]) -> None:
    """Reads every `*_dseg` of the pipeline."""
    del argv
    regions = {}
    for text in REGION.value:
        name, _, labels = text.partition(":")
        regions[name] = [int(label) for label in labels.split(",") if label]
    paths = sorted(Path(BIDS.value).glob(f"derivatives/{PIPELINE.value}/sub-*/**/*_dseg.nii*"))
    rows = [(path.name.split("_")[0], *volumes_ml(path, regions)) for path in paths]
    write_table(Path(OUTPUT.value), ["participant_id", *regions], rows)
    print(f"{len(rows)} people: {OUTPUT.value}")


if __name__ == "__main__":
    app.run(main)
