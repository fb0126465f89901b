"""What a chapter's exercises are tried with: `trials_<chapter>.py` holds a list `TRIALS` of these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vitseg_lib.course.exercises.base import Exercise


@dataclass(frozen=True)
class Trial:
    """Answers to one exercise, and what its check must say of each.

    `stub` is what the notebook ships. `right` answers are written in another way than the solution, `wrong` ones in
    another way than the exercise's own list of mistakes; each stands with words that its diagnosis must hold.
    `unforeseen` is wrong in a way that no list holds.
    """

    exercise: Exercise
    stub: Callable
    right: Sequence[Callable]
    wrong: Mapping[Callable, str]
    unforeseen: Callable
