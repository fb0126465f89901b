"""ADE20K onto the disk: fetch, verify, unpack, check."""

import errno
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from tqdm import tqdm

from vitseg_lib.data.ade20k import (
    SPLITS,
    Classes,
    list_pairs,
    read_classes,
    read_pair,
    require_mask,
    require_same_size,
)
from vitseg_lib.data.photos import image_size, opened
from vitseg_lib.files import InputError, download, explain_writing

ADE20K_URL = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
ADE20K_SHA1 = "219e1696abb36c8ba3a3afe7fb2f4b4606a897c7"
ADE20K_PAIRS = {"training": 20_210, "validation": 2_000}
FAULTS_SHOWN = 5
LONGEST_NAME = 200  # signs of a file and the folders above it in an archive


@dataclass(frozen=True)
class Report:
    """What `check` found: pairs in each split, classes, and whether these are ADE20K's published counts."""

    root: Path
    pairs: dict[str, int]
    classes: int
    complete: bool
    deep: bool

    def __str__(self) -> str:
        """Return one sentence for the command line."""
        pairs = " and ".join(f"{count:,} {split}" for split, count in self.pairs.items())
        looked_at = "every pixel and label" if self.deep else "names, headers and sizes"
        whole = "all of ADE20K; " if self.complete else ""
        return f"{self.root}: {whole}{pairs} pairs, {self.classes} classes; {looked_at} checked and sound."


def fetch_ade20k(
    root: str | Path,
    *,
    url: str = ADE20K_URL,
    sha1: str | None = ADE20K_SHA1,
    progress: bool = True,
    keep_zip: bool = True,
) -> Path:
    """Fetch ADE20K's archive beside `root`, verify it, unpack it into `root`, and return `root`.

    An interrupted download goes on where it stopped; `root` appears only when everything is unpacked, and is
    returned untouched when it holds images already. The archive stays beside it if `keep_zip`.

    Raises `InputError` if `root` holds something else, or the archive cannot be had or is not what it should be.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        for split in SPLITS:
            list_pairs(root, split)  # says what is wrong with what is there
        return root
    archive = download(url, root.parent / f"{root.name}.zip", sha1=sha1, progress=progress)
    unpack(archive, root, progress=progress)
    if not keep_zip:
        archive.unlink()
    return root


def unpack(archive: str | Path, root: str | Path, *, progress: bool = True) -> None:
    """Unpack a zip of a data set, or of one folder with it, as the new folder `root`: whole or not at all.

    Raises `InputError` if the archive is damaged, would write outside its folder or twice to one place, holds
    links, needs more room than the disk has, or holds no images; or if `root` exists and is not empty.
    """
    archive, root = Path(archive), Path(root)
    # One name for every attempt, so that what a killed one left behind is cleared away by the next.
    temporary = root.parent / f".{root.name}.unpacking"
    with explain_writing(root, temporary):
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise InputError(f"Will not unpack into {root}: it exists and is not empty; move it away or name another.")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _unpack_members(archive, temporary, progress)
            found = _data_set_inside(temporary, archive)
            if root.exists():
                root.rmdir()
            found.rename(root)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _unpack_members(archive: Path, folder: Path, progress: bool) -> None:
    try:
        with zipfile.ZipFile(archive) as source:
            members = source.infolist()
            for member in members:
                _require_harmless(member, archive)
            _require_room(sum(member.file_size for member in members), folder, archive)
            for member in tqdm(members, desc="unpacking", unit="file", disable=not progress):
                _unpack_member(source, member, folder, archive)
    except InputError:
        raise
    except Exception as error:  # damaged headers raise almost anything
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)):
            raise  # the machine's fault
        reason = f"{error or type(error).__name__}"[:200]
        raise InputError(f"{archive} is no sound zip archive ({reason}): remove it and fetch it again.") from error


def _require_harmless(member: zipfile.ZipInfo, archive: Path) -> None:
    """Raise `InputError` if a member's name leads outside, or it is neither a file nor a folder."""
    name = PureWindowsPath(member.filename)  # knows both kinds of slashes, drives and roots
    kind = stat.S_IFMT(member.external_attr >> 16)
    fault = None
    if name.anchor or ".." in name.parts or ":" in member.filename:
        fault = "outside its own folder"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "a link or device"
    elif len(member.filename) > LONGEST_NAME or not member.filename.isprintable():
        fault = "a name that no data set has"
    if fault:
        raise InputError(f"{_told(member, archive)}, {fault}: do not trust this archive.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others grow without a limit in memory
        raise zipfile.BadZipFile(f"compression method {member.compress_type} of {member.filename}")


def _told(member: zipfile.ZipInfo, archive: Path) -> str:
    name = member.filename if member.filename.isprintable() else ascii(member.filename)
    return f'{archive} holds "{name[:LONGEST_NAME]}"'


def _require_room(needed: int, folder: Path, archive: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"Unpacking {archive} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: free some "
            "space or choose another place."
        )


def _unpack_member(source: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, archive: Path) -> None:
    target = folder.joinpath(*PureWindowsPath(member.filename).parts)
    try:
        (target if member.is_dir() else target.parent).mkdir(parents=True, exist_ok=True)
        if member.is_dir():
            return
        with target.open("xb") as file, source.open(member) as content:
            shutil.copyfileobj(content, file, 1 << 20)  # it reads no more than is announced
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{_told(member, archive)} twice: do not trust this archive.") from error
    if target.stat().st_size != member.file_size:
        raise EOFError(f"{member.filename} is shorter than announced")


def _data_set_inside(folder: Path, archive: Path) -> Path:
    """Return the folder with `images` and `annotations`: `folder` itself or the one folder in it that has them."""
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for candidate in candidates:
        if (candidate / "images").is_dir() and (candidate / "annotations").is_dir():
            return candidate
    raise InputError(f"{archive} holds no data set: it needs the folders images and annotations.")


def check(root: str | Path, *, deep: bool = False, progress: bool = True) -> Report:
    """Verify a data set: every image has its annotation, all headers can be read, the sizes agree.

    With `deep`, every file is decoded and every label looked at; for ADE20K that takes minutes.

    Raises `InputError` that lists the first few faults.
    """
    root, classes = Path(root), read_classes(root)
    pairs = {split: list_pairs(root, split) for split in SPLITS}
    faults: list[str] = []
    for image, annotation in tqdm(
        [pair for split in SPLITS for pair in pairs[split]], desc="checking", unit="pair", disable=not progress
    ):
        try:
            _check_pair(image, annotation, classes, deep)
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        more = f" … and {len(faults) - FAULTS_SHOWN} more." if len(faults) > FAULTS_SHOWN else ""
        raise InputError(f"{root} has {len(faults)} faulty pairs: {' '.join(faults[:FAULTS_SHOWN])}{more}")
    counts = {split: len(pairs[split]) for split in SPLITS}
    complete = counts == ADE20K_PAIRS and not (root / "classes.json").exists()
    return Report(root, counts, len(classes), complete, deep)


def _check_pair(image: Path, annotation: Path, classes: Classes, deep: bool) -> None:
    if deep:
        read_pair(image, annotation, classes)
        return
    with opened(annotation) as mask:
        require_mask(mask, annotation)
        label_size = (mask.height, mask.width)
    require_same_size(image, image_size(image), annotation, label_size)
