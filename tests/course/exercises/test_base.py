"""The check itself: what it calls right, what it never does, and how it says where an answer differs."""

import sys

import numpy as np
import pytest
import torch

from vitseg_lib.course.exercises.base import Exercise, Mistake
from vitseg_lib.course.exercises.compare import agree, difference, position
from vitseg_lib.course.exercises.feedback import Feedback


def row_means(table):
    """The mean of each row."""
    return table.mean(dim=1)


def tables(generator):
    """Tables of 3 to 6 rows and more columns."""
    rows = int(torch.randint(3, 7, (), generator=generator))
    yield (torch.randn(rows, rows + 2, generator=generator),)


MEANS = Exercise(
    title="Row means",
    minutes=2,
    difficulty=1,
    reference=row_means,
    cases=tables,
    hints=["Which dimension goes?", "`dim=1`"],
    mistakes=[
        Mistake(lambda table: table.mean(dim=0), "these are the means of the columns"),
        Mistake(lambda table: table.sum(dim=1), "these are sums; divide by the number of columns"),
    ],
    axes=("row",),
)


def test_right_is_right_in_any_form():
    for answer in (row_means, lambda t: t.sum(1) / t.shape[1], lambda t: t.numpy().mean(1)):
        assert MEANS.check(answer).verdict == "right"


def stub(table):
    raise NotImplementedError


@pytest.mark.parametrize("nothing", [lambda t: None, lambda t: ..., stub])
def test_nothing_is_not_tried_yet(nothing):
    assert MEANS.check(nothing).verdict == "not tried yet"


def test_known_mistakes_are_named():
    assert "columns" in MEANS.check(lambda t: t.T.mean(1)).message
    assert "sums" in MEANS.check(lambda t: t @ torch.ones(t.shape[1])).message


def test_a_mistake_in_one_case_of_many_is_not_right():
    calls = []

    def nearly(table):
        calls.append(1)
        return table.mean(1) + (len(calls) == 2)

    assert MEANS.check(nearly).verdict == "not yet"


def test_the_largest_difference_is_shown_with_its_position():
    def last_row_off(table):
        means = table.mean(1)
        means[-1] += 5
        return means

    sentence = MEANS.check(last_row_off, seed=1).message
    assert "largest difference is 5 at row" in sentence and "shape" in sentence


def holds_itself() -> list:
    loop = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "broken, words",
    [
        (lambda t: t.mean(dim=7), "IndexError"),
        (lambda t, extra: t, "TypeError"),
        (lambda t: "a word", "was expected"),
        (lambda t: {"mean": t.mean(1)}, "was expected"),
        (lambda t: t.mean(1)[:, None], "has shape"),
        (lambda t: t.mean(1) * float("nan"), "largest difference is inf"),
        (lambda t: [t.mean(1), t], "was expected"),
        (lambda t: object(), "was expected"),
        (3, "TypeError"),
        (lambda t: torch.zeros(len(t), dtype=torch.complex64), "was expected"),
        (lambda t: (row.mean() for row in t), "was expected"),
        (lambda t: torch.empty(len(t), device="meta"), "cannot be compared"),
        (lambda t: t.mean(1).to_sparse(), "cannot be compared"),
        (lambda t: holds_itself(), "cannot be compared"),
        (lambda t: [10**400] * len(t), "cannot be compared"),
        (lambda t: sys.exit(), "SystemExit"),
    ],
)
def test_check_never_raises(broken, words):
    feedback = MEANS.check(broken)
    assert feedback.verdict == "not yet" and words in feedback.message


def test_an_answer_that_changes_its_arguments_is_told_so():
    def in_place(table):
        means = table.mean(1)
        table.zero_()
        return means

    feedback = MEANS.check(in_place)
    assert feedback.verdict == "not yet" and "changes `table`" in feedback.message


def test_checking_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    MEANS.check(lambda t: torch.rand(len(t)))
    assert torch.equal(torch.rand(2), expected)


def test_values_are_new_every_time_and_a_seed_repeats_them():
    seen = []

    def note(table):
        seen.append(table)
        raise NotImplementedError

    for seed in (None, None, 5, 5):
        MEANS.check(note, seed=seed)
    first, second, third, fourth = seen
    assert first.shape != second.shape or not torch.equal(first, second)
    assert torch.equal(third, fourth)


def test_hints_come_one_by_one_and_the_solution_is_real_code():
    assert "Which dimension" in repr(MEANS.hint()) and ".hint(2)" in repr(MEANS.hint())
    assert "`dim=1`" in repr(MEANS.hint(2)) == repr(MEANS.hint(9))
    assert "table.mean(dim=1)" in MEANS.solution().code
    assert "2 minutes, ●○○" in repr(MEANS)


def test_a_card_escapes_what_it_shows():
    def error(table):
        raise RuntimeError("<script>")

    assert "<script>" not in MEANS.check(error)._repr_html_()


ONES, NAN = torch.ones(2, 3), float("nan")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((ONES, {"a": 1.0}), (ONES.numpy(), {"a": 1})),
        ([1, 2], torch.tensor([1, 2])),
        ([np.int64(1), 2.0], np.array([1, 2])),
        ([[1, 2], [3, 4]], torch.tensor([[1, 2], [3, 4]])),
        (torch.tensor([NAN, 1]), torch.tensor([NAN, 1])),
        ("sky", "sky"),
        (([1, 2], 3), (np.array([1, 2]), 3.0)),
        ((1, 2), [1, 2]),
        (([1, 2], [3, 4]), (torch.tensor([1, 2]), torch.tensor([3, 4]))),
        (np.array([[1, 2], [3, 4]]), (torch.tensor([1, 2]), torch.tensor([3, 4]))),
        ([[1, 2], [3, 4]], [(1, 2), (3, 4)]),
        ((np.int64(3), 4), [3, 4]),
    ],
)
def test_results_agree_in_any_form(given, expected):
    assert agree(given, expected, 1e-6) and agree(expected, given, 1e-6)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ONES, torch.ones(3, 2)),
        ([[1, 2], [3]], ONES),
        ([[1, 2], [3]], [[1, 2], [3, 4]]),
        ("sky", "sea"),
        (np.zeros(2), "sky"),
        ({"a": 1}, {"b": 1}),
        ([(0, 3), (3, 6)], [0, 3]),
        ((torch.tensor([1e3]), torch.tensor([1e-3])), (torch.tensor([1e3]), torch.tensor([2e-3]))),  # each by its own
    ],
)
def test_results_of_another_structure_shape_or_value_do_not_agree(given, expected):
    assert not agree(given, expected, 1e-6) and not agree(expected, given, 1e-6)


def test_the_tolerance_is_relative_to_the_largest_value():
    assert agree(torch.tensor([1e6]), torch.tensor([1e6 + 1]), 1e-4)
    assert not agree(torch.tensor([1e6]), torch.tensor([1e6 + 1]), 1e-7)


def test_a_difference_names_part_and_position():
    expected = {"mean": torch.zeros(2, 3)}
    given = {"mean": torch.zeros(2, 3)}
    given["mean"][1, 2] = -0.5
    assert "in part ['mean'], the largest difference is 0.5 at row 1, column 2" in difference(
        given, expected, ("row", "column")
    )
    assert position((1, 2)) == "[1, 2]"


def test_names_in_a_sentence_are_set_as_code():
    said = Feedback("not yet", "Use `a < b` and `c`; a ` alone stays.")
    assert "Use <code>a &lt; b</code> and <code>c</code>; a ` alone stays." in said._repr_html_()
    assert "`a < b`" in repr(said)
