"""The prose of the repository as its tests read it: pages and notebooks' markdown, their links, words and quotes."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, product
from pathlib import Path
from urllib.parse import unquote

import nbformat
from conftest import ROOT

FOLDERS = (".", "notebooks", "data", "data/*", "tests", "benchmarks", "vitseg_lib")

AMERICAN = re.compile(
    r"\b(?:colors?|colored|coloring|grays?|centers?|centered|neighbors?|neighboring|behaviors?|favors?|favorite|"
    r"labeled|labeling|modeled|modeling|analyz\w+|catalogs?|artifacts?|fulfills?|defense|"
    r"(?!\w*(?:siz|priz|seiz|maiz|horiz|citiz)\w*)\w+iz(?:e|ed|es|er|ers|ing|able|ation|ations))\b",
    re.IGNORECASE,
)
TALKING_DOWN = re.compile(
    r"\b(?:simply|obviously|trivially|needless to say|of course|(?:easy|easily|plain) to see|easily seen|"
    r"as everyone knows|basically|just)\b",
    re.IGNORECASE,
)
# "what you have just built" speaks of time, and of nobody's cleverness.
JUST_NOW = re.compile(
    r"\b(?:you|we|it|is|was|were|are|have|has|had|been)\s+just\s+(?!run|cut|put|let|set|get)\w+(?:t|n|ed|de|ne)\b|"
    r"\bjust\s+(?:before|after|above|below|outside|inside|over|under|as|now)\b|\bnot\s+just\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Page:
    """A markdown file, or the markdown cells of a notebook."""

    path: Path

    @cached_property
    def text(self) -> str:
        """The markdown."""
        if self.path.suffix == ".md":
            return self.path.read_text(encoding="utf-8")
        cells = nbformat.read(self.path, as_version=4).cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    def __repr__(self) -> str:
        return self.name


def all_pages() -> list[Page]:
    """Every page of the repository that a person reads."""
    files = chain.from_iterable(ROOT.glob(f"{folder}/{kind}") for folder in FOLDERS for kind in ("*.md", "*.ipynb"))
    return [Page(path) for path in sorted({path.resolve() for path in files})]


def fences(text: str) -> list[tuple[str, str]]:
    """Language and content of the fenced code blocks, whatever their indentation."""
    return [(m[2], m[3]) for m in re.finditer(r"^([ \t]*)```(\w*)\n(.*?)^\1```", text, re.M | re.S)]


def without_code(text: str) -> str:
    """The text with code blocks, code spans and comments taken out."""
    text = re.sub(r"^([ \t]*)```.*?^\1```$", "", text, flags=re.M | re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)


def prose(text: str) -> str:
    """What is left for the rules of style: no code, formulae, addresses, tags or quoted words."""
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", " ", without_code(text), flags=re.S)
    text = re.sub(r"\]\([^)]*\)|<[^>]+>|https?://\S+", " ", text)
    return re.sub(r'"[^"\n]*"', " ", text)


def faults_of_style(text: str) -> list[str]:
    """American spellings, words that talk down to the reader, and exclamation marks."""
    text = prose(text)
    spared = JUST_NOW.sub(" ", text)
    found = [f"American spelling: {m[0]}" for m in AMERICAN.finditer(text)]
    found += [f"talks down: {m[0]}" for m in TALKING_DOWN.finditer(spared)]
    return found + [f"exclaims: {m[0]}" for m in re.finditer(r"\w+!(?=\s|$)", text)]


def links(text: str) -> list[str]:
    """The targets of all links and images."""
    text = without_code(text)
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", text) + re.findall(
        r"<(?:a|img)\b[^>]*\b(?:href|src)=\"([^\"]+)\"", text
    )
    return targets + re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, re.M)


def broken_links(page: Page) -> list[str]:
    """Links to files that are not there, or to places in a page that has no such place.

    Pages in notebooks/ are read in JupyterLab too, which keeps a heading's capitals and commas in its anchor where
    GitHub does not: a place there must be known to both.
    """
    faults = []
    for target in links(page.text):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        file, _, place = unquote(target).partition("#")
        path = (page.path.parent / file).resolve() if file else page.path
        if not path.exists():
            faults.append(f"{target}: there is no such file")
        elif place and path.suffix in (".md", ".ipynb") and place not in places(Page(path)):
            faults.append(f"{target}: the page has no such place")
    return faults


def headings(text: str) -> list[str]:
    """The headings, as they are read: no tags, no code marks."""
    text = re.sub(r"^([ \t]*)```.*?^\1```$", "", text, flags=re.M | re.S)
    return [re.sub(r"<[^>]+>|`", "", m[1]).strip() for m in re.finditer(r"^#{1,6}\s+(.+)$", text, re.M)]


def slug(heading: str) -> str:
    """What GitHub makes of a heading for links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def places(page: Page) -> set[str]:
    """All that a link into the page can name."""
    named = set(re.findall(r"<a id=\"([^\"]+)\">", page.text))
    on_github = {slug(heading) for heading in headings(page.text)}
    in_jupyterlab = {heading.replace(" ", "-") for heading in headings(page.text)}
    if page.path.suffix == ".ipynb":
        return named | in_jupyterlab
    return named | (on_github & in_jupyterlab if page.path.parent == ROOT / "notebooks" else on_github)


def quoted_messages(text: str) -> list[str]:
    """The messages that stand in frames: block quotes of one code span; any other block quote is a ValueError."""
    found = []
    for line in re.findall(r"^>.*$", text, re.M):
        span = re.fullmatch(r"> (`+)(.+?)\1", line)
        if not span:
            raise ValueError(f"not a message in a frame: {line}")
        found.append(span[2].strip())
    return found


@cache
def library_texts() -> set[str]:
    """Every string the library and the Makefile hold, with … where a value goes in.

    What is put together from parts is there whole, if the parts are strings, names for strings or, in an f-string,
    what functions return, all in one file.
    """
    texts = set()
    for path in (ROOT / "vitseg_lib").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known = _named_strings(tree)
        texts |= {text for node in ast.walk(tree) for text in _strings(node, known)}
    return texts | set(re.findall(r'"([^"\n]+)"', (ROOT / "Makefile").read_text(encoding="utf-8")))


def _named_strings(tree: ast.Module) -> dict[str, list[str]]:
    """The strings that the functions of a file return, and those that are assigned to names."""
    known = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            returned = [part.value for part in ast.walk(node) if isinstance(part, ast.Return)]
            known[node.name] += [text for value in returned for text in _strings(value, {})]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            known[node.targets[0].id] += _strings(node.value, {})
    return known


def _strings(node: ast.AST | None, known: dict[str, list[str]]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name):
        yield from known.get(node.id, [])
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from map("".join, product(_strings(node.left, known), _strings(node.right, known)))
    elif isinstance(node, ast.JoinedStr):
        yield from map("".join, product(*(_parts(part, known) for part in node.values)))


def _parts(part: ast.expr, known: dict[str, list[str]]) -> list[str]:
    """What may stand in a part of an f-string."""
    if isinstance(part, ast.Constant):
        return [part.value]
    called = part.value.func if isinstance(part.value, ast.Call) else None
    return ["…", *known.get(getattr(called, "id", ""), [])]


def is_said(message: str, texts: set[str]) -> bool:
    """Whether one of the texts is this message; … in the message may stand for anything."""
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))), re.S)
    return any(pattern.fullmatch(text) for text in texts)


def commands(text: str) -> list[str]:
    """The `vitseg …` commands in code blocks and code spans, without what the terminal shows around them."""
    lines = [line.strip() for _, code in fences(text) for line in code.splitlines()]
    lines += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^([ \t]*)```.*?^\1```$", "", text, flags=re.M | re.S))
    found = [re.match(r"(?:\.venv[\\/](?:bin|Scripts)[\\/])?(vitseg [^#]+)", line) for line in lines]
    return [m[1].strip() for m in found if m and "…" not in m[1]]
