"""The reader of the notebooks: every chapter keeps every rule, and every rule notices when it is broken.

The rules and the cell tags that mark a chapter's parts are described in `notebook_rules`.
"""

import inspect
from collections.abc import Callable
from pathlib import Path

import edition_rules as edition
import nbformat
import notebook_rules as rules
import pytest
from chapters import EXEMPT, Chapter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from vitseg_lib.course.figures.pipeline_strip import pipeline_strip

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_chapter_keeps_every_rule(path: Path, rule: rules.Rule):
    assert rule(Chapter(path, nbformat.read(path, as_version=4))) == []


OPTIONAL = (  # rules that pages for specialists keep, too
    rules.ran_in_order,
    rules.ends_no_cell_badly,
    rules.is_light,
    rules.needs_no_network_for_images,
    rules.describes_every_image,
    rules.links_to_what_is_there,
    rules.tells_nothing_of_the_machine,
    rules.is_portable,
    rules.respects_the_reader,
    edition.hides_what_it_reveals,
    edition.is_short,
)


@pytest.mark.parametrize("rule", OPTIONAL, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", sorted(FOLDER.glob("deeper/*.ipynb")), ids=lambda path: path.stem)
def test_every_optional_page_keeps_these_rules(path: Path, rule: rules.Rule):
    page = Chapter(path, nbformat.read(path, as_version=4))
    assert rule(page) == []
    assert page.notebook.cells[0].source.startswith("# Deeper · ")


def test_there_is_something_to_read():
    assert [path.stem for path in NOTEBOOKS][:1] == ["00_start_here"]
    assert set(EXEMPT) <= {path.stem for path in NOTEBOOKS}


def prose(source: str, *tags: str):
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def code(source: str, *tags: str, data: dict | None = None, metadata: dict | None = None, folded: str = ""):
    output = new_output("display_data", data=data or {"text/plain": "(3, 512, 512)"}, metadata=metadata or {})
    return new_code_cell(source, metadata={"tags": list(tags), "jupyter": {folded: True}}, outputs=[output])


def good_chapter() -> Chapter:
    """Two dozen lines that keep every rule; the negative tests break one thing each."""
    picture = {"image/png": "aGVsbG8=", "text/plain": "<Picture: a neck>"}
    cells = [
        prose("# 03 · The neck\n\nYou will build it.\n\n**Minutes** 10 · **Needs** 05 · **Runs in** 30 s", "open"),
        code('pipeline_strip("neck")', data=picture, metadata={"image/png": {"alt": "the strip"}}),
        prose("**Predict.** What is its shape?", "predict"),
        code("pixels.shape", "reveal", folded="outputs_hidden"),
        code("def plain(x):\n    return x + 1", "naive"),
        code("torch.equal(a, b)", "check"),
        code("show(x)", "see", data=picture, metadata={"image/png": {"alt": "a neck"}}),
        code("1 / 3", "trap"),
        code("def shape(): raise NotImplementedError", "exercise"),
        code("check(shape)", "exercise"),
        code("library.same", "library"),
        *(code(f"{n}", "try") for n in range(3)),
        *(code(f"{n}") for n in range(7)),
        prose("1. One\n2. Two\n3. Three\n\nRead on in `vitseg_lib/model/neck.py`.", "close"),
    ]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    chapter = Chapter(FOLDER / "03_patches.ipynb", notebook)
    for count, cell in enumerate(chapter.code, start=1):
        cell.execution_count = count
    return chapter


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_good_chapter_passes(rule: rules.Rule):
    assert rule(good_chapter()) == []


def retag(tag: str, new: str = "") -> Callable[[Chapter], None]:
    def change(chapter: Chapter) -> None:
        for cell in chapter.tagged(tag):
            cell.metadata.tags = [new]

    return change


def put(tag: str, source: str) -> Callable[[Chapter], None]:
    def change(chapter: Chapter) -> None:
        chapter.tagged(tag)[0].source = source

    return change


def output(tag: str, **content) -> Callable[[Chapter], None]:
    def change(chapter: Chapter) -> None:
        chapter.tagged(tag)[0].outputs = [new_output(**content)]

    return change


def display(tag: str, data: dict, metadata: dict | None = None) -> Callable[[Chapter], None]:
    return output(tag, output_type="display_data", data=data, metadata=metadata or {})


def add(*cells) -> Callable[[Chapter], None]:
    def change(chapter: Chapter) -> None:
        chapter.notebook.cells[-1:-1] = cells

    return change


def rerun(chapter: Chapter) -> None:
    chapter.code[2].execution_count = 17


def forget_to_run(chapter: Chapter) -> None:
    chapter.code[-1].execution_count = None


def silence(chapter: Chapter) -> None:
    for cell in chapter.code[-10:]:
        cell.outputs = []


def show_pictures_only(chapter: Chapter) -> None:
    for cell in chapter.code[-10:]:
        cell.outputs = displayed(pipeline_strip("neck"))


def displayed(picture) -> list:
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda data, metadata=None, raw=False: shown.append((data, metadata)))
        picture._ipython_display_()
    return [new_output("display_data", data=data, metadata=metadata or {}) for data, metadata in shown]


def grow(chapter: Chapter) -> None:
    for _ in range(9):
        chapter.notebook.cells.append(code("x", data={"text/plain": "x" * 250_000}))


def unfold(chapter: Chapter) -> None:
    chapter.tagged("reveal")[0].metadata.jupyter = {}


def another_kernel(chapter: Chapter) -> None:
    chapter.notebook.metadata.kernelspec.name = "vitseg-3.11"


def save_widgets(chapter: Chapter) -> None:
    chapter.notebook.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {}}


NECK = Path(rules.vitseg_lib.__file__).parent / "model" / "neck.py"
IMAGE = {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}

BREAKS = [
    *((rules.has_all_parts, retag(part), f"no cell is tagged {part}") for part in rules.PARTS),
    (rules.opens_well, retag("open", "close"), "not the markdown cell tagged open"),
    (rules.opens_well, put("open", "# 05 · The neck\n\n**Minutes** 3"), "lacks **Needs**"),
    (rules.opens_well, put("open", "# 05 · The neck\n\n**Minutes** 3"), "not '# 03 · Title'"),
    (rules.opens_well, lambda chapter: chapter.notebook.cells.pop(1), "no pipeline_strip"),
    (rules.predicts_before_it_reveals, put("predict", "It is 3."), "asks nothing"),
    (rules.predicts_before_it_reveals, retag("reveal"), "not followed by a code cell tagged reveal"),
    (rules.predicts_before_it_reveals, display("reveal", IMAGE), "whose output is compared"),
    (rules.shows_something_to_see, display("see", {"text/plain": "a table"}), "neither picture nor widget"),
    (rules.has_two_to_six_exercises, lambda chapter: chapter.notebook.cells.pop(8), "1 exercises"),
    (rules.has_two_to_six_exercises, add(*(code("x", "exercise") for _ in range(5))), "7 exercises"),
    (rules.closes_well, add(prose("the end")), None),
    (rules.closes_well, lambda chapter: chapter.notebook.cells.append(code("1")), "tagged close"),
    (rules.closes_well, put("close", "1. One\n2. Two\n\nRead `this`"), "2 things to remember"),
    (rules.closes_well, put("close", "1. One\n2. Two\n3. Three"), "where to read on"),
    (rules.ran_in_order, rerun, "run in the order [1, 2, 17,"),
    (rules.ran_in_order, forget_to_run, "None]"),
    (
        rules.ends_no_cell_badly,
        output("check", output_type="error", ename="KeyError", evalue="x", traceback=[]),
        "raised KeyError",
    ),
    (rules.ends_no_cell_badly, output("check", output_type="stream", name="stderr", text="oh"), "warned: 'oh'"),
    (rules.ends_no_cell_badly, output("check", output_type="stream", text="a warning sign"), None),
    (rules.ends_no_cell_badly, output("check", output_type="stream", text="FutureWarning: x"), "warned: 'Future"),
    (rules.is_light, display("check", {"text/plain": "x" * 300_001}), "an output of 300"),
    (rules.is_light, grow, "the notebook has 2"),
    (rules.needs_no_network_for_images, add(prose("![a cat](https://cats.example/1.png)")), "a remote image"),
    (rules.needs_no_network_for_images, add(prose('<IMG alt="cat" src = "//cats.example/1">')), "a remote image"),
    (rules.needs_no_network_for_images, display("see", {"text/html": "<img src='http://a.b/c'>"}), "a remote image"),
    (rules.describes_every_image, add(prose("![](local.png)")), "no alt text"),
    (rules.describes_every_image, add(prose('<img alt=" " src="local.png">')), "no alt text"),
    (rules.describes_every_image, add(prose('<img src="local.png">')), "no alt text"),
    (rules.describes_every_image, display("see", IMAGE), "shows an image/png without alt text"),
    (rules.describes_every_image, display("see", IMAGE, {"image/png": {"alt": " "}}), "without alt text"),
    (rules.keeps_cells_short, put("naive", "x = 1\n" * 26), "has 26 lines"),
    (rules.keeps_cells_short, add(*(code("a\nb\nc\nd\ne\nf") for _ in range(40))), "the median cell has 6 lines"),
    (rules.copies_nothing_from_the_library, put("naive", NECK.read_text("utf-8")), "MultiLevelNeck is a copy"),
    (rules.ignores_few_outputs, retag("see", "nbval-ignore-output"), None),
    (rules.ignores_few_outputs, retag("exercise", "nbval-ignore-output"), "2 of 19 code cells"),
    (rules.ignores_few_outputs, add(code("# NBVAL_IGNORE_OUTPUT"), *[code("# NBVAL_SKIP")] * 2), "3 of 22 code cells"),
    (rules.ignores_few_outputs, retag("trap", "raises-exception"), "is tagged raises-exception"),
    (rules.compares_enough_outputs, silence, "only 7 cells"),
    (rules.compares_enough_outputs, show_pictures_only, "only 7 cells"),
    (rules.links_to_what_is_there, add(prose("[next](07_none.ipynb#top)")), "nothing is at 07_none.ipynb"),
    (rules.links_to_what_is_there, add(prose("[a page](https://a.example) and [above](#top)")), None),
    (rules.tells_nothing_of_the_machine, display("check", {"text/plain": "/home/ada/x"}), "'/home/ada'"),
    (rules.tells_nothing_of_the_machine, display("check", {"text/plain": "<A at 0x7f0012345678>"}), "0x7f00"),
    (rules.is_portable, another_kernel, "'vitseg-3.11'"),
    (rules.is_portable, save_widgets, "the widgets of an old run"),
    (rules.respects_the_reader, add(prose("It is easy to see that")), "'easy to see'"),
    (edition.hides_what_it_reveals, unfold, "shows its answer"),
    (edition.folds_its_imports, add(code("import a\nimport b\nimport c\nimport d")), "4 imports"),
    (edition.folds_its_imports, add(code("import a\nimport b\nimport c\nimport d", folded="source_hidden")), None),
    (edition.is_short, add(prose("word " * 3500)), " words"),
    (edition.is_short, add(*(prose("x") for _ in range(45))), " cells"),
    (edition.states_its_minutes_as_measured, add(prose("### Exercise\n\n*9 minutes · ●○○*")), "10 minutes stated, 19"),
    (edition.states_its_minutes_as_measured, add(prose("*55 minutes · ●○○*")), "65 minutes"),
    (edition.is_written_by_the_learner, retag("try"), "the learner writes 11%"),
    (edition.writes_plain_code, put("naive", "if (n := 3):\n    pass"), "a walrus"),
    (edition.writes_plain_code, put("naive", "def f():\n    yield 3"), "a yield"),
    (edition.writes_plain_code, put("naive", "print(*range(3))"), "star-unpacking"),
    (edition.writes_plain_code, put("naive", "[a for b in c for a in b]"), "more than one for"),
    (edition.writes_plain_code, put("naive", "x = " + "1" * 90), "94 columns"),
]


@pytest.mark.parametrize(("rule", "change", "words"), BREAKS, ids=[f"{r.__name__}-{w}" for r, _, w in BREAKS])
def test_a_broken_rule_is_noticed(rule: rules.Rule, change: Callable[[Chapter], None], words: str | None):
    """`words` None: the change comes close to breaking the rule and does not."""
    chapter = good_chapter()
    change(chapter)
    faults = " | ".join(rule(chapter))
    assert faults == "" if words is None else words in faults


def test_every_rule_is_read_and_was_seen_to_fail():
    found = [f for module in (rules, edition) for _, f in inspect.getmembers(module, inspect.isfunction)]
    own = {rules.__name__, edition.__name__}
    returns_faults = {f for f in found if f.__module__ in own and f.__annotations__.get("return") == list[str]}
    assert returns_faults == set(rules.RULES) == {rule for rule, _, words in BREAKS if words is not None}


def test_chapter_00_is_excused_from_building_and_nothing_else():
    chapter = good_chapter()
    building = {"naive", "check", "trap", "exercise", "library"}
    for part in building:
        retag(part)(chapter)
    excused = Chapter(Path("00_start_here.ipynb"), chapter.notebook)
    assert rules.has_all_parts(excused) == rules.has_two_to_six_exercises(excused) == []
    assert len(rules.has_all_parts(chapter)) == len(building)
    retag("see")(excused)
    assert rules.has_all_parts(excused) == ["no cell is tagged see"]


def test_how_much_the_learner_writes(capsys):
    shares = {path.stem: edition.learners_share(Chapter(path, nbformat.read(path, as_version=4))) for path in NOTEBOOKS}
    with capsys.disabled():
        print("\nwritten by the learner: " + ", ".join(f"{name[:2]} {share:.0%}" for name, share in shares.items()))
