"""Voxel sizes of many images, from their headers alone."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fedbrain.data.nifti_file import read_outline
from fedbrain.data.nifti_header import mm_per_unit
from fedbrain.data.scan_report import Size


def voxel_size_mm(path: Path) -> Size | None:
    """Edges of a voxel in mm, to a hundredth, the shortest first; None if the header cannot tell.

    Args:
      path: of the image.
    """
    try:
        header = read_outline(path).header
        edges = np.linalg.norm(header.get_best_affine()[:3, :3], axis=0) * mm_per_unit(header)
    except Exception:  # a damaged file can raise anything
        return None
    a, b, c = sorted(round(float(edge), 2) for edge in edges)
    return a, b, c


def voxel_sizes_mm(paths: Sequence[Path]) -> list[Size]:
    """Those of all images that tell.

    Args:
      paths: of the images.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [size for size in pool.map(voxel_size_mm, paths) if size is not None]
