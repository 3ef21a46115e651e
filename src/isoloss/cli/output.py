"""Write files completely or not at all, so that a failure keeps an existing file."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError

_ROOM = "free some space, or name a file on another disk"
_RIGHTS = "name a file in a folder that you may write to"
FIXES = {
    errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.EFBIG: _ROOM, errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS, errno.EROFS: _RIGHTS, errno.ENAMETOOLONG: "give it a shorter name",
}  # fmt: skip


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn a system error into a message with a fix."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        fix = FIXES.get(error.errno or 0, "name another file")
        raise InputError(f"{path} cannot be written: {reason}: {fix}") from error


def check(path: Path) -> None:
    """Raise an error if a file cannot be written, before its content is computed."""
    with _explained(path):
        if path.is_dir():
            raise InputError(f"{path} is a folder: name a file in it, as in {path / path.name}")
        for folder in (path.absolute().parent, _behind(path).parent):
            if not folder.is_dir():
                raise InputError(f"{path}: there is no folder {folder}")
        if _replaceable(path) and not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _replaceable(path: Path) -> bool:
    """Return whether a new file may replace the path; a pipe or a device is kept."""
    return path.is_file() or not path.exists()


def _behind(path: Path) -> Path:
    """Return the target of a link, so that writing replaces the target and keeps the link."""
    return Path(os.path.realpath(path))


def write(path: Path, content: bytes) -> None:
    """Write a temporary file in the same folder, then rename it to the path."""
    with _explained(path):
        if not _replaceable(path):
            path.write_bytes(content)
            return
        target = _behind(path)
        part = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # some file systems report only here that they are full
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
