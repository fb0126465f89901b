"""What every exercise shares: run an answer on fresh random values, and say which mistake was made.

An answer is *right* when it agrees with the solution on every case. When it does not, it is compared with answers
that are wrong in a known way; the first that it agrees with on every case names the mistake. An answer that is wrong
in a way nobody foresaw is shown its largest difference, and where it is.
"""

import copy
import inspect
import itertools
import secrets
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from vitseg_lib.course.exercises.compare import agree, arguments, difference
from vitseg_lib.course.exercises.feedback import Feedback

Case = tuple  # the arguments of one call
Call = Callable[[Callable, Case], Any]  # how an answer is called: call(answer, case) → what is compared

ROUNDS = 3  # times the cases are drawn


@dataclass(frozen=True)
class Mistake:
    """A known way to go wrong: what it does, as code, and the sentence that names it."""

    wrong: Callable
    diagnosis: str


def mistakes(known: Mapping[str, Callable]) -> tuple[Mistake, ...]:
    """Diagnosis → what it diagnoses, as mistakes; the first that fits is the one that is named."""
    return tuple(Mistake(wrong, diagnosis) for diagnosis, wrong in known.items())


def randint(generator: torch.Generator, low: int, high: int, *, exclude: Sequence[int] = ()) -> int:
    """A random integer from `low` to `high`, both included, and none of `exclude`."""
    number = int(torch.randint(low, high + 1, (), generator=generator))
    return randint(generator, low, high, exclude=exclude) if number in exclude else number


@dataclass(frozen=True)
class Exercise:
    """A task with its check, hints and solution.

    `reference` is the solution, a function (or class) of the exercise's own file. `cases(generator)` yields the
    arguments of each call, with new shapes and values every time. `call` runs an answer where it is not just called
    with them: a module that is built first, say. `axes` name the axes of the result.
    """

    title: str
    minutes: int
    difficulty: int  # 1 one or two lines, 2 some thought, 3 hard
    reference: Callable
    cases: Callable[[torch.Generator], Iterable[Case]]
    hints: Sequence[str]
    mistakes: Sequence[Mistake] = ()
    axes: Sequence[str] = ()
    call: Call = field(default=lambda answer, case: answer(*case))
    tolerance: float = 1e-4

    def __repr__(self) -> str:
        return f"<Exercise: {self.title}, {self.minutes} minutes, {'●' * self.difficulty}{'○' * (3 - self.difficulty)}>"

    def check(self, answer: Callable, *, seed: int | None = None) -> Feedback:
        """Say whether `answer` is *right*, *not tried yet*, or which mistake it makes. Never raises.

        Shapes and values are new at every check; `seed` repeats one.
        """
        generator = torch.Generator().manual_seed(secrets.randbits(32) if seed is None else seed)
        cases = list(itertools.chain.from_iterable(self.cases(generator) for _ in range(ROUNDS)))
        results = []
        for case in cases:
            try:
                results.append(self._run(answer, case))
            except NotImplementedError:
                return Feedback("not tried yet", "Write your answer, run its cell again, then this one.", self.title)
            except (Exception, SystemExit) as error:  # an `exit()` would end the notebook's kernel
                lines = str(error).strip().splitlines()
                return self._wrong(f"it stops with {type(error).__name__}: {lines[0] if lines else 'no words'}", case)
            if results[-1] is None or results[-1] is ...:
                return Feedback("not tried yet", "It returns nothing so far. Is a `return` missing?", self.title)
        try:
            return self._compare(cases, results)
        except Exception as error:  # a tensor without values, a list that holds itself
            reason = f"what it returns cannot be compared ({type(error).__name__})"
            return self._wrong(f"{reason}: return a plain tensor, array or number", cases[0])

    def hint(self, number: int = 1) -> Feedback:
        """One hint, the first by default; later ones give more away."""
        number = min(max(number, 1), len(self.hints))
        more = f" (`.hint({number + 1})` says more)" if number < len(self.hints) else ""
        return Feedback(f"hint {number} of {len(self.hints)}", self.hints[number - 1] + more, self.title)

    def solution(self) -> Feedback:
        """The source of a solution that works; yours may look different and be as right."""
        source = textwrap.dedent(inspect.getsource(self.reference))
        return Feedback("one solution", "Yours may look different and be as right.", self.title, code=source)

    def _compare(self, cases: list[Case], results: list[Any]) -> Feedback:
        expected = [self._run(self.reference, case) for case in cases]
        off = [i for i in range(len(cases)) if not agree(results[i], expected[i], self.tolerance)]
        if not off:
            return Feedback("right", f"It agrees with the solution on {len(cases)} random cases.", self.title)
        for mistake in self.mistakes:
            if self._explains(mistake, cases, results):
                return self._wrong(mistake.diagnosis)
        first = off[0]
        return self._wrong(difference(results[first], expected[first], self.axes), cases[first])

    def _explains(self, mistake: Mistake, cases: list[Case], results: list[Any]) -> bool:
        """Whether the answer does what the mistake does, in every case."""
        try:
            return all(
                agree(result, self._run(mistake.wrong, case), self.tolerance)
                for case, result in zip(cases, results, strict=True)
            )
        except Exception:  # the mistake does not even run on these shapes: it is another one
            return False

    def _run(self, answer: Callable, case: Case) -> Any:
        """One call on a copy of the arguments, with torch's random state as it would be without it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.call(answer, copy.deepcopy(case))

    def _arguments(self, case: Case) -> str:
        names = list(inspect.signature(self.reference).parameters)
        return arguments(case, names if len(names) == len(case) else [f"argument {n}" for n in range(1, 1 + len(case))])

    def _wrong(self, diagnosis: str, case: Case | None = None) -> Feedback:
        sentence = diagnosis[0].upper() + diagnosis[1:]
        sentence += "" if sentence.endswith((".", "?", "!")) else "."
        where = f" This was with {self._arguments(case)}." if case is not None else ""
        return Feedback("not yet", sentence + where, self.title)
