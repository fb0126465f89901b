"""What the labels of a data set mean: ADE20K's 150 classes, or those of a classes.json as in data/README.md."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from vitseg_lib.files import InputError

IGNORED = 255


@dataclass(frozen=True, eq=False)
class Classes:
    """What the labels mean: `names` and `colours` (uint8 (K, 3) RGB) in the order of the labels 0..K-1.

    In memory `ignore` marks pixels that are not counted. In files `zero_is_other` says that 0 is "none of these" and
    1..K are the classes, as in ADE20K; otherwise they are 0..K-1. `ignore_in_files` and 255 are ignored either way.
    `values`, if any, lists the values in files that stand for each class; all others are ignored then.
    """

    names: tuple[str, ...]
    colours: np.ndarray
    ignore: int = IGNORED
    zero_is_other: bool = True
    ignore_in_files: int = IGNORED
    values: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def as_dict(self) -> dict[str, Any]:
        """Return what a classes.json holds."""
        pairs = zip(self.names, self.colours.tolist(), strict=True)
        entries = [{"name": name, "colour": colour} for name, colour in pairs]
        for entry, values in zip(entries, self.values, strict=bool(self.values)):
            entry["values"] = list(values)
        return {"classes": entries, "ignore": self.ignore_in_files, "zero_is_other": self.zero_is_other}

    def values_of(self, label: int) -> tuple[int, ...]:
        """The values in files that stand for a label."""
        return self.values[label] if self.values else (label + self.zero_is_other,)

    @cached_property
    def labels_of_values(self) -> np.ndarray:
        """The label of each value that a file may hold, int16 (256,), and -1 where it stands for nothing."""
        table = np.full(256, self.ignore if self.values else -1, np.int16)
        for label in range(len(self)):
            table[list(self.values_of(label))] = label
        table[[IGNORED, self.ignore_in_files, *([0] if self.zero_is_other and not self.values else [])]] = self.ignore
        return table


def ade20k_classes() -> Classes:
    """Return ADE20K's 150 classes, named with all their synonyms, in the benchmark's colours."""
    source = resources.files("vitseg_lib.data") / "ade20k_classes.json"
    return parse_classes(source.read_text(encoding="utf-8"), "ade20k_classes.json")


def read_classes(root: str | Path) -> Classes:
    """Return the classes of `root`/classes.json, or ADE20K's without one; `InputError` names the file's fault."""
    path = Path(root) / "classes.json"
    if not path.exists() and not path.is_symlink():
        return ade20k_classes()
    try:
        return parse_classes(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): replace it, or remove it to use ADE20K's.") from error


def parse_classes(text: str, path: str) -> Classes:
    """Return the classes of a classes.json's text; `InputError` names `path` and the fault."""

    def demand(condition: Any, fault: str) -> None:
        if not condition:
            raise InputError(f"{path}: {fault}; data/README.md shows the format.")

    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); data/README.md shows the format.") from error
    demand(isinstance(content, dict) and isinstance(content.get("classes"), list), 'it needs a list "classes"')
    zero_is_other, ignore = content.get("zero_is_other", True), content.get("ignore", IGNORED)
    demand(isinstance(zero_is_other, bool), '"zero_is_other" must be true or false')
    demand(_are_bytes([ignore]), '"ignore" must be a whole number from 0 to 255')
    entries, most = content["classes"], IGNORED - zero_is_other
    demand(1 <= len(entries) <= most, f"it lists {len(entries)} classes, where 1 to {most} are possible")
    for number, entry in enumerate(entries, start=1):
        fault = 'needs a "name" of one line and a "colour" of three whole numbers from 0 to 255'
        demand(_is_entry(entry), f"class number {number} {fault}")
    names = tuple(entry["name"] for entry in entries)
    demand(len(set(names)) == len(names), f'the name "{str(_repeated(names))[:80]}" occurs twice')
    listed = [entry["values"] for entry in entries if "values" in entry]
    demand(len(listed) in (0, len(entries)), 'either every class has its "values" or none has')
    for number, values in enumerate(listed, start=1):
        fault = f'the "values" of class number {number} must be a list of whole numbers from 0 to 254'
        demand(_are_bytes(values) and values and IGNORED not in values, fault)
    colours = np.array([entry["colour"] for entry in entries], dtype=np.uint8)
    colours.flags.writeable = False
    classes = Classes(names, colours, IGNORED, zero_is_other, ignore, tuple(map(tuple, listed)))
    used = [ignore, *(value for label in range(len(classes)) for value in classes.values_of(label))]
    demand(len(set(used)) == len(used), f"the value {_repeated(used)} stands for two things")
    return classes


def _repeated(values: Sequence) -> Any:
    return next((value for value in values if list(values).count(value) > 1), None)


def _is_entry(entry: Any) -> bool:
    name, colour = (entry.get("name"), entry.get("colour")) if isinstance(entry, dict) else (None, None)
    return isinstance(name, str) and name.strip() and name.isprintable() and _are_bytes(colour) and len(colour) == 3


def _are_bytes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= 255 for value in values)
