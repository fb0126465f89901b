"""ADE20K onto the disk: fetch, verify, unpack."""

import errno
import shutil
import zipfile
from pathlib import Path

from tqdm import tqdm

from vitseg_lib.data.ade20k import SPLITS, list_pairs
from vitseg_lib.files import InputError, download, explain_write_errors

ADE20K_URL = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
ADE20K_SHA1 = "219e1696abb36c8ba3a3afe7fb2f4b4606a897c7"


def fetch_ade20k(root: str | Path, *, url: str = ADE20K_URL, sha1: str = ADE20K_SHA1, progress: bool = True) -> Path:
    """Fetch ADE20K's archive to beside `root`, verify it, unpack it into `root`, and return `root`.

    An interrupted download is resumed; a `root` that holds images already is returned untouched.
    Raises `InputError` if `root` holds something else, or the archive cannot be had or is not what it should be.
    """
    root = Path(root)
    if _is_occupied(root):
        for split in SPLITS:
            list_pairs(root, split)  # says what is wrong with what is there
    else:
        archive = download(url, root.parent / f"{root.name}.zip", sha1=sha1, progress=progress)
        unpack(archive, root, progress=progress)
    return root


def unpack(archive: Path, root: Path, *, progress: bool = True) -> None:
    """Unpack a zip of a data set, or of a folder with it, as the new folder `root`: whole or not at all.

    Raises `InputError` if the archive is damaged, too large for the disk or no data set, or if `root` is not empty.
    """
    temporary = root.parent / f".{root.name}.unpacking"  # always this name: the next attempt clears up a killed one's
    with explain_write_errors(root, temporary):
        if _is_occupied(root):
            raise InputError(f"Will not unpack into {root}: it exists and is not empty; move it away or name another.")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _extract(archive, temporary, progress)
            folders = [temporary, *sorted(temporary.iterdir())]
            inner = next((f for f in folders if (f / "images").is_dir() and (f / "annotations").is_dir()), None)
            if inner is None:
                raise InputError(f"{archive} holds no data set: it needs the folders images and annotations.")
            if root.exists():
                root.rmdir()
            inner.rename(root)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _is_occupied(root: Path) -> bool:
    return root.exists() and (not root.is_dir() or any(root.iterdir()))


def _extract(archive: Path, folder: Path, progress: bool) -> None:
    """Unpack an archive; `zipfile` drops "..", roots and drives from names, so that nothing lands outside `folder`."""
    try:
        with zipfile.ZipFile(archive) as source:
            members, free = source.infolist(), shutil.disk_usage(folder).free
            if (needed := sum(member.file_size for member in members)) > free:
                sizes = f"{needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free"
                raise InputError(f"Unpacking {archive} needs {sizes}: free some space or choose another place.")
            source.extractall(folder, tqdm(members, desc="unpacking", unit="file", disable=not progress))
    except Exception as error:  # damaged headers raise almost anything
        if isinstance(error, InputError | MemoryError) or getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise  # the machine's fault
        reason = str(error)[:200] or type(error).__name__
        raise InputError(f"{archive} is no sound zip archive ({reason}): remove it and fetch it again.") from error
