"""Files at the edge: faults in one sentence, whole-or-not-at-all writes, downloads that resume.

Everything in the library that touches the disk or the network goes through here, so that a full disk or a
dropped connection never leaves half a file under a name that somebody trusts.
"""

import errno
import hashlib
import http.client
import json
import os
import re
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

ATTEMPTS = 5  # tries in a row that bring nothing new before `download` gives up
RETRY_SECONDS = 1.0  # pause before the first retry; each further one waits as much longer
TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 1 << 18
TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]{8}(\.\w+)?")  # the names that `atomic_path` gives

# errno's names instead of its numbers: not every platform has all of them.
WRITE_FAULTS = {
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
def explain_writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the system's refusals to write `path` (or `temporary`, in its stead) into `InputError`.

    Other errors pass unchanged, among them those about other files.
    """
    try:
        yield
    except Exception as error:
        fault = WRITE_FAULTS.get(errno.errorcode.get(_system_error(error), ""))
        filename = getattr(error, "filename", None)
        if fault is None or (filename and Path(str(filename)) not in (path, *path.parents, temporary)):
            raise
        raise InputError(f"Cannot write {path}: {fault}.") from error


def _system_error(error: Exception) -> int:
    """Return the system's number for the fault, or 0; safetensors has it in its message only."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found.group(1)) if found else 0


@contextmanager
def atomic_path(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there becomes `path`, whole or not at all.

    The temporary file is hidden, has the same suffix and a name of its own in every process. It is flushed to
    the disk and renamed when the block ends, and removed when the block fails. Missing folders are made.

    Raises `InputError` if the place cannot be written, or if `path` exists and `overwrite` is false.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    with explain_writing(path, temporary):
        refuse_existing(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            refuse_existing(path, overwrite)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Clear away what `atomic_path` left in a folder when its process was killed."""
    for path in folder.glob(".*"):
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def refuse_existing(path: Path, overwrite: bool = False) -> None:
    """Raise `InputError` if `path` is a folder or cannot be made, or exists and `overwrite` is false."""
    if path.is_dir():
        raise InputError(f"Cannot write {path}: it is a folder; choose another name.")
    if not overwrite and path.exists():
        raise InputError(f"Will not overwrite {path}: it exists already; remove it or choose another name.")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError(f"Cannot write {path}: {WRITE_FAULTS['EACCES' if above.is_dir() else 'ENOTDIR']}.")


def write_json(path: str | Path, data: Any, *, overwrite: bool = True) -> None:
    """Write `data` as indented UTF-8 JSON, atomically."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def cache_dir() -> Path:
    """Return the folder for downloads: `$VITSEG_CACHE`, or `~/.cache/vitseg`; it need not exist yet."""
    chosen = os.environ.get("VITSEG_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "vitseg"


def download(
    url: str, path: str | Path, *, sha256: str | None = None, sha1: str | None = None, progress: bool = True
) -> Path:
    """Fetch `url` (http or https) into `path`, which exists afterwards whole and verified, and return it.

    `sha256` and `sha1` are hexadecimal sums, or the first digits of one. A file that is there already and has
    the right sum is returned untouched. What arrives is kept in `path` + ".part", and a later call goes on.

    Raises `InputError` if the sum is wrong, the network is down or the connection keeps breaking.
    """
    path = Path(path)
    sums = {name: sum_.lower() for name, sum_ in (("sha256", sha256), ("sha1", sha1)) if sum_}
    if not url.startswith(("http://", "https://")) or not (url.isascii() and url.isprintable()):
        raise InputError(f"Cannot download {_plain(url)}: only http and https addresses are supported, in plain signs.")
    if path.is_file():
        if fault := _wrong_sum(path, sums):
            raise InputError(f"{path} is not the expected file: {fault}; move it away and run this again.")
        return path
    refuse_existing(path)
    part = path.with_name(path.name + ".part")
    with explain_writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    _fetch_patiently(url, part, path, progress)
    if fault := _wrong_sum(part, sums):
        part.unlink()
        raise InputError(f"{url} did not arrive as expected: {fault}; it was discarded, run this again.")
    with explain_writing(path):
        part.replace(path)
    return path


class _Broken(Exception):
    """The connection failed in a way that trying again may mend; the text is the cause."""


def _fetch_patiently(url: str, part: Path, path: Path, progress: bool) -> None:
    """Fill `part`, trying again after breaks, as long as fewer than `ATTEMPTS` in a row bring nothing new."""
    furthest, failures = _size(part), 0
    while True:
        try:
            return _fetch(url, part, path, progress)
        except _Broken as error:
            failures = 0 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= ATTEMPTS:
                raise InputError(
                    f"The download of {url} keeps breaking off ({error}) after {furthest:,} bytes: run this "
                    f"again later to continue, or fetch it by hand and save it as {path}."
                ) from error
            time.sleep(RETRY_SECONDS * (failures + 1))


def _fetch(url: str, part: Path, path: Path, progress: bool) -> None:
    """Fill `part` in one connection, going on after its bytes if the server agrees."""
    start = _size(part)
    response = _request(url, start, path)
    if response is None:  # no bytes lie beyond `start`
        return
    with response:
        if start and _first_byte(response) != start:
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if re.fullmatch("[0-9]{1,18}", length) else None
        bar = tqdm(total=total, initial=start, desc=path.name, unit="B", unit_scale=True, disable=not progress)
        with bar, explain_writing(part), part.open("ab" if start else "wb") as file:
            while chunk := _read(response):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(part) < total:
        raise _Broken("the connection was closed early")


def _request(url: str, start: int, path: Path) -> Any:
    """Ask for the bytes from `start` on; return the open response, or None if the server has no more."""
    by_hand = f"fetch it by hand and save it as {path}"
    headers = {"User-Agent": "vitseg"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and start:
                complete = error.headers.get("Content-Range", "").endswith(f"/{start}")
                return None if complete else _request(url, 0, path)
            answer = f"HTTP {error.code} {_plain(error.reason)}"
        if error.code in (408, 429) or error.code >= 500:
            raise _Broken(answer) from error
        raise InputError(f"{url} cannot be had ({answer}): check the address, or {by_hand}.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # the last for addresses that are none
        reason = _plain(getattr(error, "reason", error)) or type(error).__name__
        if start:
            raise _Broken(reason) from error
        raise InputError(f"Cannot reach {url} ({reason}): check the network, or {by_hand}.") from error


def _read(response: Any) -> bytes:
    try:
        return response.read1(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_plain(error) or type(error).__name__) from error


def _plain(text: Any) -> str:
    return "".join(sign for sign in " ".join(str(text).split()) if sign.isprintable())[:200]


def _first_byte(response: Any) -> int:
    """Return the position in the whole file of the response's first byte: 0 unless it is a partial one."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found and response.status == 206 else 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _wrong_sum(path: Path, sums: dict[str, str]) -> str:
    """Say which of the expected `sums` (algorithm: digits) the file does not have; "" if it has all."""
    for algorithm, expected in sums.items():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if not found.startswith(expected):
            return f"its {algorithm.upper()} is {found[: len(expected)]}, not {expected}"
    return ""
