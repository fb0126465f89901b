"""Files at the edge: faults in one sentence, whole-or-not-at-all writes, downloads that resume."""

import errno
import hashlib
import http.client
import json
import os
import re
import secrets
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

ATTEMPTS = 5  # retries in a row that bring nothing new before `download` gives up
RETRY_SECONDS = 1.0  # pause before the first retry; each further one waits as much longer
TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 1 << 18
TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]{8}(\.\w+)?")  # the names that `atomic_path` gives

WRITE_FAULTS = {  # by errno's names: not every platform has all of the numbers
    "ENOSPC": "the disk is full; free some space or choose another place",
    "EDQUOT": "your disk quota is used up; free some space or choose another place",
    "EFBIG": "the file grew larger than this system allows; choose another place",
    "EACCES": "you have no right to write there; change the folder's permissions or choose another place",
    "EPERM": "you have no right to write there; change the folder's permissions or choose another place",
    "EROFS": "the file system is read-only; choose another place",
    "ENOTDIR": "one of the folders above it is a file; choose another place",
    "EEXIST": "one of the folders above it is a file; choose another place",
    "EISDIR": "it is a folder; choose another name",
    "ENAMETOOLONG": "the name is too long; choose a shorter one",
    "EIO": "the disk reports an error; check it or choose another place",
}


class InputError(ValueError):
    """A fault in what the user gave us: one sentence with the file, what is wrong and what to do."""


@contextmanager
def explain_write_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the system's refusals to write `path`, or `temporary` in its stead, into `InputError`; others pass."""
    try:
        yield
    except OSError as error:
        fault = WRITE_FAULTS.get(errno.errorcode.get(error.errno or 0, ""))
        if fault is None or (error.filename and Path(str(error.filename)) not in (path, *path.parents, temporary)):
            raise
        raise InputError(f"Cannot write {path}: {fault}.") from error


def ensure_writable(path: Path, overwrite: bool = False) -> None:
    """Raise `InputError` if `path` is a folder or cannot be made, or exists and `overwrite` is false."""
    if path.is_dir():
        raise InputError(f"Cannot write {path}: it is a folder; choose another name.")
    if not overwrite and path.exists():
        raise InputError(f"Will not overwrite {path}: it exists already; remove it or choose another name.")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError(f"Cannot write {path}: {WRITE_FAULTS['EACCES' if above.is_dir() else 'ENOTDIR']}.")


@contextmanager
def atomic_path(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there becomes `path`, whole or not at all.

    It is hidden, has the same suffix, and goes when the block fails. Missing folders are made.
    Raises `InputError` if the place cannot be written, or if `path` exists and `overwrite` is false.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    with explain_write_errors(path, temporary):
        ensure_writable(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            ensure_writable(path, overwrite)  # it may have appeared meanwhile
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Clear away what `atomic_path` left in a folder when its process was killed."""
    for path in folder.glob(".*"):
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes | memoryview, *, overwrite: bool = True) -> None:
    """Write bytes, atomically. Encode in memory first: on a full disk some libraries abort the whole process."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, data: Any, *, overwrite: bool = True) -> None:
    """Write `data` as indented UTF-8 JSON, atomically."""
    write_bytes(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode(), overwrite=overwrite)


def cache_dir() -> Path:
    """Return the folder for downloads: `$VITSEG_CACHE`, or `~/.cache/vitseg`; it need not exist yet."""
    return Path(os.environ.get("VITSEG_CACHE") or Path.home() / ".cache" / "vitseg")


def download(
    url: str, path: str | Path, *, sha256: str | None = None, sha1: str | None = None, progress: bool = True
) -> Path:
    """Fetch `url` (http or https) into `path`, which exists afterwards whole and verified, and return it.

    `sha256` or `sha1` is hexadecimal, or its first digits. What arrives is kept in `path` + ".part", and a later call
    resumes it. Of several processes one fetches; the others wait and find the file.
    Raises `InputError` if the checksum is wrong, the network is down or the connection keeps breaking.
    """
    path, checksum = Path(path), ("sha1", sha1) if sha1 else ("sha256", sha256 or "")
    part, lock = path.with_name(f"{path.name}.part"), path.with_name(f".{path.name}.lock")
    if not url.startswith(("http://", "https://")) or not (url.isascii() and url.isprintable()):
        raise InputError(f"Cannot download {url!r}: only http and https work, in printable ASCII characters.")
    if not path.is_file():
        ensure_writable(path)
        with explain_write_errors(path, lock):
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock):
                if not path.is_file():  # else another process was quicker
                    _fetch(url, part, path, progress)
                    if fault := _checksum_fault(part, *checksum):
                        part.unlink()
                        raise InputError(f"{url} did not arrive as expected: {fault}; discarded, run this again.")
                    part.replace(path)
        with suppress(OSError):  # gone already, or open on Windows; whoever still waits for it finds the file
            lock.unlink()
    if fault := _checksum_fault(path, *checksum):
        raise InputError(f"{path} is not the expected file: {fault}; move it away and run this again.")
    return path


def _fetch(url: str, part: Path, path: Path, progress: bool) -> None:
    """Fill `part`, resuming after breaks as long as fewer than `ATTEMPTS` in a row bring nothing new."""
    furthest, failures = -1, 0
    while True:
        start = part.stat().st_size if part.exists() else 0
        failures, furthest = (0, start) if start > furthest else (failures + 1, furthest)
        try:
            return _fetch_from(start, url, part, path.name, progress)
        except InputError:  # of the disk
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last for addresses that are none
            status = getattr(error, "code", None)  # if the server answered
            if start and status == 416:  # nothing lies beyond `start`: `part` is whole, or of another file
                if error.headers.get("Content-Range", "").endswith(f"/{start}"):
                    return
                part.unlink()
            final = not part.exists() if status is None else status < 500 and status not in (408, 416, 429)
            if final or failures == ATTEMPTS:
                reason = "".join(filter(str.isprintable, str(error)))[:200] or type(error).__name__
                raise InputError(
                    f"{url} could not be fetched ({reason}; {furthest:,} bytes are here): check address and network "
                    f"and run this again, which resumes it, or fetch it by hand and save it as {path}."
                ) from error
        time.sleep(RETRY_SECONDS * (failures + 1))


def _fetch_from(start: int, url: str, part: Path, name: str, progress: bool) -> None:
    """Append the bytes from `start` on, as one connection brings them; write all anew if the server ignores Range."""
    headers = {"User-Agent": "vitseg"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        start = start if response.headers.get("Content-Range", "").startswith(f"bytes {start}-") else 0
        total = None if response.length is None else start + response.length
        bar = tqdm(total=total, initial=start, desc=name, unit="B", unit_scale=True, disable=not progress)
        with bar, explain_write_errors(part), part.open("ab" if start else "wb") as file:
            while chunk := response.read1(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
            if total and file.tell() < total:
                raise ConnectionError("the connection was closed early")


def _checksum_fault(path: Path, algorithm: str, expected: str) -> str:
    """How the file's checksum differs from the first digits `expected`; "" if it does not."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    fault = f"its {algorithm.upper()} is {digest[: len(expected)]}, not {expected}"
    return "" if digest.startswith(expected.lower()) else fault
