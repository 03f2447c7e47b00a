"""Files that are written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, also after a full disk, sees the old content or the new.

    A link stays a link; what is no file, `/dev/stdout` for instance, is written as it is.

    Args:
      path: of the file; its folder exists.
      content: bytes, or text that is written as UTF-8.

    Raises:
      OSError: naming the file; what was written of it is removed.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    if path.exists() and not target.is_file():
        path.write_bytes(data)
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
