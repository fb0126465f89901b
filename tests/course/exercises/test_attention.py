"""What chapter 04 goes on with after a small exercise: the learner's function if it is right, else the course's."""

from vitseg_lib.course.exercises import attention as exercises


def untried(queries, keys, values):
    raise NotImplementedError


def right(queries, keys, values):
    return (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(dim=-1) @ values


def wrong(queries, keys, values):
    return (queries @ keys.mT).softmax(dim=-1) @ values


def test_a_right_answer_is_used_and_named_as_the_learners(capsys):
    assert exercises.yours_if_right(exercises.one_head, right) is right
    assert capsys.readouterr().out == "yours: one_head\n"


def test_the_courses_stands_in_for_a_wrong_answer_and_for_none(capsys):
    for answer in (wrong, untried):
        assert exercises.yours_if_right(exercises.one_head, answer) is exercises.one_head.reference
        assert capsys.readouterr().out == "the course's: one_head\n"
