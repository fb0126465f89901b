"""Putting a right answer into the learner's file: its source, what it uses beside it, and where it belongs.

What the answer needs is found in its byte code: every global name that it reads is an import, a helper, or a constant.
"""

import ast
import dis
import inspect
import linecache
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from typing import Any

from filelock import FileLock

from vitseg_lib import files
from vitseg_lib.course.mine import HEADER, PARTS, before, defined, path, read, run
from vitseg_lib.files import InputError

LOCK_SECONDS = 20
NOT_YOURS = ("vitseg_lib.model", "vitseg_lib.engine", "vitseg_lib.course")  # what the parts are to be equal to


def keep(name: str, answer: Any) -> str:
    """Put a right answer into the file under the part's name, and say so; say why, where that is not possible."""
    file = path()
    try:
        with FileLock(file.with_name(f".{file.name}.lock"), timeout=LOCK_SECONDS):
            old = read(file)
            new = with_part(old or HEADER, name, answer)
            feedback = PARTS[name].check(run(new, file)[name])
            if feedback.verdict != "right":
                return f"But it is not kept: alone in {file.name} it goes wrong. {feedback.message}"
            if new != old:
                if old:
                    files.write_bytes(before(file), old.encode())
                files.write_bytes(file, new.encode())
    except TimeoutError:
        return f"But it is not kept: another notebook is writing {file.name}. Run this cell again."
    except (InputError, NotKept) as error:
        return f"But it is not kept: {error}"
    return f"Kept in {file.name}: {len(defined(new))} of {len(PARTS)} parts are yours."


class NotKept(Exception):
    """Why an answer, right as it is, cannot stand in a file of its own."""


def with_part(text: str, name: str, answer: Any) -> str:
    """The text with the answer, and what it needs, as the part of that name."""
    pieces = dict(needed(answer, name))
    main = pieces.pop(name)
    for line in [piece for key, piece in pieces.items() if key.startswith("import ")]:
        text = with_import(text, line)
    for helper, source in pieces.items():
        if not helper.startswith("import "):
            text = with_definition(text, helper, source, name, is_helper=True)
    return formatted(with_definition(text, name, main, name))


def needed(answer: Any, name: str, seen: set[str] | None = None) -> Iterator[tuple[str, str]]:
    """(Name, source) of all that must stand in the file: what the answer uses first, the answer last."""
    seen = seen if seen is not None else {name}
    source, around = source_of(answer)
    code = compile(source, "mine", "exec")
    for used in sorted(globals_used(code) - seen - set(PARTS)):
        if used in around and not hasattr(__import__("builtins"), used) and not in_header(used, around[used]):
            seen.add(used)
            yield from one_needed(used, around[used], seen)
    yield name, renamed(source, name)


def one_needed(name: str, value: Any, seen: set[str]) -> Iterator[tuple[str, str]]:
    """What a name stands for: an import, a helper's source, or a constant."""
    module = getattr(value, "__module__", None)
    if isinstance(value, types.ModuleType):
        module, line = value.__name__, f"import {value.__name__} as {name}"
        line = f"import {name}" if value.__name__ == name else line
        yield f"import {name}", allowed(module, name, line)
    elif module == "__main__" and isinstance(value, (types.FunctionType, type)):
        yield from needed(value, name, seen)
    elif isinstance(value, (int, float, str, bool, tuple, list, dict)):
        yield name, f"{name} = {value!r}\n"
    elif module and getattr(value, "__qualname__", "") == getattr(value, "__name__", None):
        line = f"from {module} import {value.__name__}" + ("" if value.__name__ == name else f" as {name}")
        yield f"import {name}", allowed(module, name, line)
    else:
        raise NotKept(f"it uses `{name}` from another cell: write what it needs into the answer itself.")


def allowed(module: str, name: str, line: str) -> str:
    """The import line, unless it brings what the learner is to write."""
    if module.startswith(NOT_YOURS):
        raise NotKept(f"it calls `{name}` of {module}, which is the library's own version: write that part yourself.")
    return line


def source_of(answer: Any) -> tuple[str, dict[str, Any]]:
    """An answer's source, as it stands in its cell or file, and the globals it sees."""
    functions = [inspect.unwrap(answer)] if isinstance(answer, types.FunctionType) else vars(answer).values()
    code = next((f.__code__ for f in functions if isinstance(f, types.FunctionType)), None)
    if code is None:
        raise NotKept("its source cannot be found: define it with `def` or `class` in a cell of its own.")
    lines = linecache.getlines(code.co_filename)
    found = [node for node in ast.parse("".join(lines)).body if getattr(node, "name", None) == answer.__name__]
    if not found:
        raise NotKept("its source cannot be found: define it at the top level of the cell.")
    first = min([found[-1].lineno, *(d.lineno for d in found[-1].decorator_list)])
    source = "".join(lines[first - 1 : found[-1].end_lineno])
    around = getattr(answer, "__globals__", None) or vars(sys.modules[answer.__module__])
    return textwrap.dedent(source.rstrip("\n") + "\n"), around


def globals_used(code: types.CodeType) -> set[str]:
    """Every global name that the code reads, inner functions included."""
    reads = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return reads.union(*map(globals_used, inner))


def in_header(name: str, value: Any) -> bool:
    """Whether the file's first lines bring this very value under this name."""
    space: dict[str, Any] = {}
    exec(HEADER, space)
    return name in space and space[name] is value


def renamed(source: str, name: str) -> str:
    """The definition under the part's name: an answer may be called something else in its notebook."""
    node = ast.parse(source).body[0]
    keyword = "class" if isinstance(node, ast.ClassDef) else "def"
    return source.replace(f"{keyword} {node.name}", f"{keyword} {name}", 1)


def with_import(text: str, line: str) -> str:
    """The text with this import after its last one, unless it is there."""
    if any(ast.unparse(node) == line for node in ast.parse(text).body):
        return text
    imports = [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    at = imports[-1].end_lineno if imports else 0
    rows = text.splitlines()
    return "\n".join([*rows[:at], line, *rows[at:]]) + "\n"


def with_definition(text: str, name: str, source: str, part: str, *, is_helper: bool = False) -> str:
    """The text with this definition: in place of the one of that name, or where the part belongs."""
    rows, body = text.splitlines(), ast.parse(text).body
    there = next((node for node in body if name in names_of(node)), None)
    if there is not None:
        first = min([there.lineno, *(d.lineno for d in getattr(there, "decorator_list", []))])
        if is_helper and ast.dump(there) != ast.dump(ast.parse(source).body[0]) and used_elsewhere(body, name, part):
            raise NotKept(f"`{name}` already means something else in mine.py: give yours another name.")
        return "\n".join([*rows[: first - 1], source.rstrip("\n"), *rows[there.end_lineno :]]) + "\n"
    order = list(PARTS)
    later = order[order.index(part) + (0 if is_helper else 1) :]
    following = [node for node in body if getattr(node, "name", None) in later]
    at = len(rows)
    if following:
        first = min([following[0].lineno, *(d.lineno for d in following[0].decorator_list)]) - 1
        while first and rows[first - 1].startswith("#"):  # its comment stays with it
            first -= 1
        at = first
    return "\n".join([*rows[:at], "", "", source.rstrip("\n"), "", "", *rows[at:]]) + "\n"


def used_elsewhere(body: list[ast.stmt], name: str, part: str) -> bool:
    """Whether anything in the file reads this helper but the part itself and helpers of its own."""
    users = {n for node in body for n in names_of(node) if name in globals_used(compile_node(node))} - {name, part}
    return any(user in PARTS or used_elsewhere(body, user, part) for user in users)


def compile_node(node: ast.stmt) -> types.CodeType:
    """The byte code of one statement."""
    return compile(ast.Module([node], []), "mine", "exec")


def names_of(node: ast.stmt) -> set[str]:
    """The names that a top-level statement defines, imports aside."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def formatted(text: str) -> str:
    """The text as ruff formats it, where there is ruff."""
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "88", "--isolated", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    return done.stdout if done.returncode == 0 else inspect.cleandoc(text) + "\n"
