"""Files that stand in the place of an image or a table: pointers, web pages, archives."""

import codecs
from pathlib import Path

BEGINNINGS = {  # in small letters
    b"/annex/objects/": "a git-annex pointer. Run 'datalad get'",
    b"version https://git-lfs": "a Git LFS pointer. Run 'git lfs pull'",
    b"<!doctype": "a web page. Download the file itself",
    b"<html": "a web page. Download the file itself",
    b"<?xml": "a server's answer. Download the file itself",
    b"{": "text in JSON. Download the file itself",
    b"\x1f\x8b": "a file packed by gzip. Unpack it",
    b"bzh": "a file packed by bzip2. Unpack it",
    b"\xfd7zxz": "a file packed by xz. Unpack it",
    b"pk\x03\x04": "a ZIP archive or a spreadsheet. Unpack or convert it",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet. Convert it",
}
DICOM_AT, DICOM = slice(128, 132), b"DICM"


def other_file(head: bytes) -> str:
    """What a file is whose beginning is known, and what to do; empty for all others.

    Args:
      head: its first bytes.

    >>> other_file(b"<!DOCTYPE html><html>")
    'a web page. Download the file itself'
    """
    if head[DICOM_AT] == DICOM:
        return "a DICOM file. Convert it, with dcm2niix for instance"
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    return next((what for start, what in BEGINNINGS.items() if text.startswith(start)), "")


def link_to_nothing(path: Path) -> str:
    """The sentence for a link whose target is not there, as git-annex leaves them."""
    return (
        f"{path}: the file is a link to content that is not here (git-annex). Run 'datalad get"
        f" {path.name}'."
    )
