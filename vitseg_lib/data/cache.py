"""Decoded pairs on the disk, without the cost of JPEG and PNG: 4 · H · W bytes each, 27 GB for ADE20K's training."""

import hashlib
import warnings
from pathlib import Path

import numpy as np

from vitseg_lib.data.ade20k import read_pair
from vitseg_lib.data.classes import Classes
from vitseg_lib.files import InputError, atomic_path


class DecodedCache:
    """Reads pairs as `ade20k.read_pair` does, and keeps each as a file in `folder` for the next time.

    A pair whose files or classes have changed, or whose entry is damaged, is decoded anew; old entries stay. Any number
    of processes may share the folder. Where it cannot be written, one warning says so and every pair is decoded.
    """

    def __init__(self, folder: str | Path, classes: Classes) -> None:
        self.folder, self.classes, self.is_writable = Path(folder), classes, True

    def read(self, image_path: str | Path, label_path: str | Path) -> tuple[np.ndarray, np.ndarray]:
        """Read an image, uint8 (H, W, 3), and its labels, uint8 (H, W); raises as `read_pair`."""
        try:
            entry = self._entry(Path(image_path), Path(label_path))
        except OSError:  # a file is missing or hidden, which read_pair says better
            return read_pair(image_path, label_path, self.classes)
        rows = _load(entry)
        if rows is None:
            image, labels = read_pair(image_path, label_path, self.classes)
            rows = np.concatenate([image.reshape(len(image), -1), labels], axis=1)
            self._save(entry, rows)
        height, width = rows.shape[0], rows.shape[1] // 4
        return rows[:, : 3 * width].reshape(height, width, 3), rows[:, 3 * width :]

    def _entry(self, *paths: Path) -> Path:
        """Name the pair's entry by all that its content depends on."""
        key = hashlib.sha256(self.classes.labels_of_values)
        for path in paths:
            stat = path.stat()
            key.update(f"{path.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
        name = key.hexdigest()
        return self.folder / name[:2] / f"{name[2:32]}.npy"

    def _save(self, entry: Path, rows: np.ndarray) -> None:
        if self.is_writable:
            try:
                with atomic_path(entry) as temporary:
                    np.save(temporary, rows)
            except (InputError, OSError) as error:
                self.is_writable = False
                warnings.warn(f"Decoded images are not cached from here on. {error}", stacklevel=3)


def _load(entry: Path) -> np.ndarray | None:
    """Read an entry, uint8 (H, 4 · W): rows of an image, each followed by its labels; None if damaged."""
    try:
        rows = np.load(entry, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError):  # the last for a header that claims a size without end
        return None
    return rows if rows.dtype == np.uint8 and rows.ndim == 2 and rows.shape[1] % 4 == 0 else None
