"""The arrays of a file of weights, whatever program wrote it: its first bytes say what it is, not
its name.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedbrain.models.files.safetensors_file import is_safetensors, read_safetensors
from fedbrain.models.files.torch_file import read_torch

# first bytes of other files -> what they are, and what to do
OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS: run 'git lfs pull'",
    b"<": "a web page or XML: download the file itself",
    b"\x89HDF": "an HDF5 file (Keras?): convert it to .safetensors",
    b"\x1f\x8b": "a gzip file: unpack it",
    b"BZh": "a bzip2 file: unpack it",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it",
    b"\x93NUMPY": "a NumPy array: write a dictionary of arrays as .safetensors",
    b"GGUF": "a GGUF file: convert it to .safetensors",
}
TAR = (
    "a tar archive: unpack it; if PyTorch before 0.2 wrote it, load it in PyTorch and save it again"
)


def _folder(path: Path) -> str:
    """What a folder is that stands for a file, and what to do."""
    if (path / "config.json").is_file() and (path / "runs").is_dir():
        return f"the work directory of an experiment. Write run({str(path)!r})"
    if any(path.glob("*.distcp")) or (path / ".metadata").is_file():
        return (
            "a sharded checkpoint. In PyTorch, write one file: torch.distributed.checkpoint"
            ".format_utils.dcp_to_torch_save(FOLDER, FILE)"
        )
    if (path / "data.pkl").is_file() or any(path.glob("*/data.pkl")):
        return "a file of torch.save that was unpacked. Name the file itself"
    inside = sorted(
        p.name for p in path.glob("*") if p.suffix in (".pt", ".pth", ".ckpt", ".safetensors")
    )
    return f"a folder. Name the file in it{', ' + inside[0] if inside else ''}"


def read_arrays(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of a file of PyTorch or of a `.safetensors` file, by name.

    Args:
      path: of the file.

    Raises:
      ValueError: one sentence: what the file is, and what to do.
    """
    if path.is_dir():
        raise ValueError(f"{path}: expected a file of weights, got {_folder(path)}.")
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if is_safetensors(head):
            return read_safetensors(path)
    except OSError as error:
        reason = "no file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ValueError(f"{path}: expected a file of weights, got: {reason}.") from None
    if path.suffix == ".safetensors" and not head.startswith((b"PK", b"\x80", *OTHERS)):
        return read_safetensors(path)  # which says what is damaged
    if head[257:262] == b"ustar":
        raise ValueError(f"{path}: expected a file of weights, got {TAR}.")
    for start, kind in OTHERS.items():
        if head.startswith(start):
            raise ValueError(f"{path}: expected a file of weights, got {kind}.")
    if not head.startswith((b"PK", b"\x80")):
        size = path.stat().st_size
        raise ValueError(
            f"{path}: expected a file of torch.save or .safetensors, got something else or a file"
            f" that is damaged ({size} bytes, of which the first are {head[:4]!r}). Fetch it again."
        )
    return read_torch(path)
