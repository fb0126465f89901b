"""The pages around the chapters: links lead somewhere, messages and commands are real, the prose keeps to its style.

The shape ledger's numbers are the affair of `test_ledger`.
"""

import re
import shlex

import numpy as np
import pages
import pytest
import torch
from conftest import ROOT
from pages import Page

from vitseg_lib import recipes
from vitseg_lib.cli import build_parser

PAGES = pages.all_pages()
GLOSSARY = Page(ROOT / "notebooks" / "glossary.md")
TROUBLES = Page(ROOT / "notebooks" / "troubleshooting.md")
BEFORE = Page(ROOT / "notebooks" / "prerequisites.md")


def terms() -> list[tuple[str, str]]:
    """The glossary's terms as (heading with its anchors, what stands below it)."""
    below = GLOSSARY.text.split("Terms\n", 1)[1]
    return re.findall(r"^### (.+)\n\n((?:.+\n)+)", below, re.M)


def test_terms_stand_in_order_and_say_where_they_live():
    heads = pages.headings(GLOSSARY.text.split("Terms\n", 1)[1])
    assert heads == sorted(heads, key=str.lower) and len(heads) == len(set(heads)) == len(terms()) > 80
    for head, text in terms():
        assert re.search(r"\*Chapters? .*\d\d", text), head
        assert "vitseg_lib/" in text or "shape ledger" in head, head
        assert len(text.split()) < 90, f"{head}: more than a few sentences"


def test_every_term_can_be_linked_to_by_its_name():
    known = pages.places(GLOSSARY)
    assert [head for head, _ in terms() if pages.slug(re.sub(r"<[^>]+>", "", head)) not in known] == []


def test_what_the_glossary_says_of_the_recipes_is_so():
    toy, full = recipes.get("toy"), recipes.get("deit_s16_160k")
    said = [
        f"take {full.batch_size} images a step, `toy` takes {toy.batch_size}",
        f"have {full.depth} blocks, `toy` has {toy.depth}",
        f"{full.embed_dim} in DeiT-S, {recipes.get('vit_b16_80k').embed_dim} in the B models, {toy.embed_dim} in `toy`",
        f"{full.crop}×{full.crop} in the published recipes, {toy.crop}×{toy.crop} in `toy`",
        f"({full.embed_dim // full.num_heads} in the published encoders, {toy.embed_dim // toy.num_heads} in `toy`)",
        f"p is {full.patch_size} in the published recipes and {toy.patch_size} in `toy`",
        f"blocks {listed(full.out_indices)} of {full.depth} in the published recipes",
        f"blocks {listed(toy.out_indices)} of {toy.depth} in `toy`",
        f"{full.test_scale} in the published recipes, {toy.test_scale} in `toy`",
        f"({full.warmup:,} in the published recipes, {toy.warmup} in `toy`)".replace(",", " ", 1),
        f"learning rate × {full.weight_decay:g} in the published recipes",
        f"the recipe's rate ({full.learning_rate:.0e} in the published ones)".replace("e-0", "e-"),
        f"added with weight {full.aux_weight:g}",
    ]
    assert [words for words in said if words not in GLOSSARY.text] == []
    assert full.photometric and not toy.photometric and "published recipes use it; `toy` does not" in GLOSSARY.text


def listed(numbers: tuple[int, ...]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}"


def test_no_two_headings_of_a_page_share_a_name():
    for page in (GLOSSARY, TROUBLES, BEFORE):
        named = [{pages.slug(plain), *re.findall(r"id=\"([^\"]+)\"", head)} for head, plain in whole_headings(page)]
        assert sum(map(len, named)) == len(set().union(*named)), page


def whole_headings(page: Page) -> list[tuple[str, str]]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.text, flags=re.S), re.M)
    return list(zip(heads, pages.headings(page.text), strict=True))


@pytest.mark.parametrize("page", PAGES, ids=repr)
def test_every_link_leads_somewhere(page):
    assert pages.broken_links(page) == []


def test_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text('# A *b*, `c`\n\n### <a id="miou"></a>mIoU\n\n```\n# no heading\n```\n')
    good = "[x](other.md) [y](other.md#a-b-c) [z](other.md#miou) [`q`](#here) [w](https://a.example/#x) `[v](none.md)`"
    bad = (
        '[x](none.md) [y](other.md#no-heading) ![z](none.png) [w](#there) <a href="gone.md">w</a> [u](05_encoder.ipynb)'
    )
    page.write_text(f"# Here\n\n{good}\n\n{bad}\n")
    found = [fault.split(":")[0] for fault in pages.broken_links(Page(page))]
    assert found == ["none.md", "other.md#no-heading", "none.png", "#there", "05_encoder.ipynb", "gone.md"]


def test_the_pages_are_found():
    found = {page.name for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "data/README.md", "notebooks/glossary.md"} <= found
    assert "notebooks/00_start_here.ipynb" in found and len(found) >= 9
    assert not any("/." in name or name.startswith("runs") for name in found)


@pytest.mark.parametrize("page", PAGES, ids=repr)
def test_the_prose_keeps_to_the_style(page):
    assert pages.faults_of_style(page.text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("The color of a pixel", "American spelling: color"),
        ("We normalize and optimized it", "American spelling: normalize"),
        ("a labeled neighbor", "American spelling: labeled"),
        ("You simply call it", "talks down: simply"),
        ("it is easy to see", "talks down: easy to see"),
        ("just call it", "talks down: just"),
        ("you just run it", "talks down: just"),
        ("It works!", "exclaims: works!"),
        ("Resize by a size that is prized on the horizon, seized, resized", None),
        ("`color` and `normalize()`, [colour](color.md), $color$, <b color='x'>, \"color\"", None),
        ("```\ncolor = 1 # simply!\n```", None),
        ("what you just built, what has just been shown, just above", None),
        ("adjust the colour, unjust", None),
        ("![an image](a.png) a != b", None),
    ],
)
def test_a_fault_of_style_is_noticed(text, fault):
    found = pages.faults_of_style(text)
    assert found == [] if fault is None else fault in found


NAMES = next(iter(build_parser()._subparsers._group_actions)).choices


def test_every_quoted_message_is_one_that_the_library_says():
    texts, quoted = pages.library_texts(), pages.quoted_messages(TROUBLES.text)
    assert len(quoted) > 20
    assert [message for message in quoted if not pages.is_said(message, texts)] == []


def test_a_message_that_nobody_says_is_noticed():
    texts = pages.library_texts()
    assert pages.is_said("… does not exist: check the name.", texts)
    for wrong in ("… does not exist: check the nam.", "does not exist: check the name.", "… does not exist", "exist"):
        assert not pages.is_said(wrong, texts)
    with pytest.raises(ValueError, match="not a message"):
        pages.quoted_messages("> Some words\n")


def test_every_symptom_has_a_cause_and_a_cure():
    for symptom in re.split(r"^### ", TROUBLES.text, flags=re.M)[1:]:
        title, _, text = symptom.partition("\n")
        assert 0 < text.index("**Why") < text.index("**Cure.**"), title


@pytest.mark.parametrize("page", PAGES, ids=repr)
def test_every_command_on_a_page_can_be_typed(page):
    for command in pages.commands(page.text):
        if command.removeprefix("vitseg ") in NAMES:  # only spoken of
            continue
        try:
            build_parser().parse_args(shlex.split(command)[1:])
        except SystemExit as stop:
            assert stop.code == 0, f"{command}: the command line refuses it"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.text, re.M):
        assert f"\n{target}:" in makefile, f"make {target}"


def test_commands_are_found_wherever_they_stand():
    text = "```\nvitseg data toy  # draws\n.venv/bin/vitseg recipes\n```\n"
    text += "\n1. x\n\n   ```\n   vitseg data ade20k\n   ```\n\nSay `vitseg no`, and never `vitseg …`.\n"
    assert pages.commands(text) == ["vitseg data toy", "vitseg recipes", "vitseg data ade20k", "vitseg no"]


def test_every_variable_that_a_page_names_is_read_somewhere():
    code = "".join(
        p.read_text(encoding="utf-8") for room in ("vitseg_lib", "tests") for p in (ROOT / room).rglob("*.py")
    )
    for page in PAGES:
        for variable in re.findall(r"\bVITSEG_[A-Z_]+", page.text):
            assert f'"{variable}"' in code, f"{page}: {variable}"


def test_every_question_of_the_prerequisites_has_the_answer_that_python_gives():
    asked = re.findall(r"^```python\n(.*?)^```\n\n<details>.*?</summary>\n\n`([^`]+)`", BEFORE.text, re.M | re.S)
    assert len(asked) == 8 and BEFORE.text.count("<details>") == BEFORE.text.count("</details>") == 9
    for question, answer in asked:
        *lines, last = question.strip().split("\n")
        known = {"np": np, "torch": torch}
        exec("\n".join(lines), known)
        assert repr(eval(last, known)) == answer, last
