"""Every exercise of the course, tried with a stub, right answers, and wrong ones that must each be named."""

import importlib
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from trials import Trial

HERE = Path(__file__).parent
CHAPTERS = sorted(path.stem.removeprefix("trials_") for path in HERE.glob("trials_*.py"))
TRIALS = {
    f"{chapter}-{trial.exercise.reference.__name__}": trial
    for chapter in CHAPTERS
    for trial in importlib.import_module(f"trials_{chapter}").TRIALS
}
SEEDS = range(3)  # each of three rounds of cases


CHECKED = {}


def checked(exercise, answer, seed: int):
    """The feedback, from an earlier test where there was one."""
    key = id(exercise), answer, seed
    if key not in CHECKED:
        CHECKED[key] = exercise.check(answer, seed=seed)
    return CHECKED[key]


def seeds(trial: Trial) -> range:
    """Fewer for modules, whose checks take their time."""
    return range(1) if isinstance(trial.exercise.reference, type) else SEEDS


SECOND_EDITION = ("ade20k-", "augmentation", "patches", "attention", "encoder")

each = pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS.keys())


@each
def test_the_stub_is_not_tried_yet(trial: Trial):
    assert trial.exercise.check(trial.stub).verdict == "not tried yet"


@each
def test_the_solution_and_other_correct_answers_are_right(trial: Trial):
    assert trial.right, "a correct answer written differently is missing"
    for answer in (trial.exercise.reference, *trial.right):
        for seed in seeds(trial):
            feedback = checked(trial.exercise, answer, seed)
            assert feedback.verdict == "right", f"{answer.__name__}: {feedback}"


@each
def test_each_wrong_answer_gets_its_own_diagnosis(trial: Trial, record_property):
    assert len(trial.wrong) >= 5
    said = {}
    for answer, words in trial.wrong.items():
        for seed in seeds(trial):
            feedback = checked(trial.exercise, answer, seed)
            assert feedback.verdict == "not yet", f"{answer.__name__}: {feedback}"
            assert words in feedback.message, f"{answer.__name__}: {feedback}"
        said[answer.__name__] = feedback.message
    assert len(set(said.values())) == len(said), "two mistakes share a diagnosis"
    named = {mistake.diagnosis.lower()[:40] for mistake in trial.exercise.mistakes}
    unnamed = [name for name, sentence in said.items() if not sentence.lower().startswith(tuple(named))]
    assert not unnamed, f"not among the exercise's mistakes: {unnamed}"
    record_property("exercise", json.dumps([trial.exercise.title, said]))


@each
def test_a_wrong_answer_nobody_foresaw_is_shown_where_it_differs(trial: Trial, record_property):
    for seed in seeds(trial):
        feedback = checked(trial.exercise, trial.unforeseen, seed)
        assert feedback.verdict == "not yet"
        assert re.search(r"[Ll]argest difference|shape|expected", feedback.message), feedback
    record_property("exercise", json.dumps([trial.exercise.title, {"(unforeseen)": feedback.message}]))


def reviewed() -> list[tuple]:
    """(Exercise, wrong answer): what readers tried beside the table above, in the chapters of the second edition."""
    modules = [importlib.import_module(f"trials_{chapter}") for chapter in CHAPTERS]
    return [pair for module in modules for pair in getattr(module, "REVIEWED", [])]


@pytest.mark.parametrize(("exercise", "answer"), reviewed(), ids=lambda item: getattr(item, "__name__", ""))
def test_no_wrong_answer_that_readers_tried_is_right(exercise, answer):
    assert checked(exercise, answer, 0).verdict != "right"


def test_most_wrong_answers_are_told_which_slip_they_are(capsys):
    """A largest difference, another shape or an exception's message does not count as told."""
    second = [trial for name, trial in TRIALS.items() if name.startswith(SECOND_EDITION)]
    pairs = [(trial.exercise, answer) for trial in second for answer in [*trial.wrong, trial.unforeseen]]
    unnamed = re.compile(r"[Ll]argest difference|was expected|^It stops with")
    pairs += reviewed()
    vague = [answer.__name__ for exercise, answer in pairs if unnamed.search(checked(exercise, answer, 0).message)]
    share = 1 - len(vague) / len(pairs)
    with capsys.disabled():
        print(f"\n{len(pairs)} wrong answers, {share:.0%} named; not: {', '.join(vague)}")
    assert share >= 0.85


@each
def test_hints_and_solution_are_there(trial: Trial):
    exercise = trial.exercise
    assert 1 <= exercise.minutes <= 30 and 1 <= exercise.difficulty <= 3
    assert exercise.hints and str(len(exercise.hints)) in repr(exercise.hint(99))
    assert f"def {exercise.reference.__name__}" in exercise.solution().code or "class " in exercise.solution().code


def stubs() -> dict[str, list]:
    """The cells tagged exercise of each notebook."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [c for c in cells if "exercise" in c["metadata"].get("tags", [])]
        found[path.stem] = tagged
    return {name: cells for name, cells in found.items() if cells}


STUBS = stubs()


@pytest.mark.parametrize("notebook", STUBS)
def test_a_notebook_ships_untried_stubs_of_exercises_that_are_tried_here(notebook):
    known = {trial.exercise.title for trial in TRIALS.values()}
    for cell in STUBS[notebook]:
        source = "".join(cell["source"])
        assert "raise NotImplementedError" in source and ".check(" in source
        shown = "".join("".join(o.get("data", {}).get("text/plain", "")) for o in cell["outputs"])
        assert "not tried yet" in shown
        assert any(title in shown for title in known), shown


@pytest.mark.parametrize("notebook", STUBS)
def test_no_exercise_is_without_its_notebook(notebook):
    chapter = notebook.split("_", 1)[1]
    assert chapter in CHAPTERS, f"tests/course/exercises/trials_{chapter}.py is missing"
    count = len([name for name in TRIALS if name.startswith(f"{chapter}-")])
    assert count == len(STUBS[notebook])
