"""What every exercise shares: run an answer on fresh random values, and say which mistake was made.

An answer is *right* when it agrees with the solution on every case. When it does not, it is compared with answers
that are wrong in a known way; the first that it agrees with on every case names the mistake. An answer that is wrong
in a way nobody foresaw is shown its largest difference, and where it is. A right answer that is a part of the
segmenter is kept in the learner's `mine.py`.
"""

import copy
import inspect
import itertools
import secrets
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from vitseg_lib.course.exercises.compare import agree, arguments, difference
from vitseg_lib.course.exercises.feedback import Feedback
from vitseg_lib.course.keeping import keep

Case = tuple  # the arguments of one call
Call = Callable[[Callable, Case], Any]  # how an answer is called: call(answer, case) → what is compared

ROUNDS = 3  # times the cases are drawn
LONGEST = 1200  # characters of an error's message that are shown


class Fault(Exception):
    """A mistake found while an answer runs, in words."""


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
    with them: a module that is built first, say. `axes` name the axes of the result. `part` is the name under which a
    right answer is kept in `mine.py`, if it is.
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
    part: str = ""
    may_change: bool = False  # its arguments, as an optimiser changes weights

    def __repr__(self) -> str:
        return f"<Exercise: {self.title}, {self.minutes} minutes, {'●' * self.difficulty}{'○' * (3 - self.difficulty)}>"

    def check(self, answer: Callable, *, seed: int | None = None) -> Feedback:
        """Say whether `answer` is *right*, *not tried yet*, or which mistake it makes. Never raises.

        Shapes and values are new at every check; `seed` repeats one.
        """
        generator = torch.Generator().manual_seed(secrets.randbits(32) if seed is None else seed)
        cases = list(itertools.chain.from_iterable(self.cases(generator) for _ in range(ROUNDS)))
        results, changed = [], []
        for case in cases:
            try:
                results.append(self._run(answer, case, changed))
            except NotImplementedError:
                return Feedback("not tried yet", "Write your answer, run its cell again, then this one.", self.title)
            except Fault as error:
                return self._wrong(str(error))
            except (Exception, SystemExit) as error:  # an `exit()` would end the notebook's kernel
                message = str(error).strip()[:LONGEST] or "no message"
                return self._wrong(f"it stops with {type(error).__name__}: {message}", case)
            if results[-1] is None or results[-1] is ...:
                return Feedback("not tried yet", "It returns nothing so far. Is a `return` missing?", self.title)
        try:
            feedback = self._compare(cases, results, changed)
            if feedback.verdict == "right" and self.part and getattr(answer, "__module__", "") == "__main__":
                return replace(feedback, message=f"{feedback.message} {keep(self.part, answer)}")
            return feedback
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

    def _compare(self, cases: list[Case], results: list[Any], changed: list[str]) -> Feedback:
        expected = [self._run(self.reference, case) for case in cases]
        off = [i for i in range(len(cases)) if not agree(results[i], expected[i], self.tolerance)]
        if not off and not changed:
            return Feedback("right", f"It agrees with the solution on {len(cases)} random cases.", self.title)
        for mistake in self.mistakes:
            if off and self._explains(mistake, cases, results):
                return self._wrong(mistake.diagnosis)
        if changed:
            name = changed[0]
            return self._wrong(f"it changes `{name}`, which belongs to the caller: work on a copy, or on a new array")
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

    def _run(self, answer: Callable, case: Case, changed: list[str] | None = None) -> Any:
        """One call on a copy of the arguments, with torch's random state as it would be without it.

        The names of arguments whose values it changes go to `changed`.
        """
        given = copy.deepcopy(case)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            result = self.call(answer, given)
        if changed is not None and not self.may_change:
            named = zip(self._names(case), case, given, strict=True)
            changed += [name for name, before, after in named if not unchanged(before, after)]
        return result

    def _names(self, case: Case) -> list[str]:
        if isinstance(self.reference, type):  # a module: what it is built from, what it is called with
            return ["sizes", "inputs"]
        names = list(inspect.signature(self.reference).parameters)
        return names if len(names) == len(case) else [f"argument {n}" for n in range(1, 1 + len(case))]

    def _arguments(self, case: Case) -> str:
        return arguments(case, self._names(case))

    def _wrong(self, diagnosis: str, case: Case | None = None) -> Feedback:
        sentence = diagnosis[0].upper() + diagnosis[1:]
        sentence += "" if sentence.endswith((".", "?", "!")) else "."
        where = f" This was with {self._arguments(case)}." if case is not None else ""
        return Feedback("not yet", sentence + where, self.title)


def unchanged(before: Any, after: Any) -> bool:
    """Whether an argument holds the numbers that it held; only arrays, tensors and lists of them are compared."""
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after)
    return not isinstance(before, torch.Tensor) or torch.equal(before, after)


def module_call(reference: type[nn.Module]) -> Call:
    """How a module is compared: case = (its sizes, its inputs); outputs in eval mode, then gradients of the inputs.

    It is built from the sizes, must have the reference's parameters under their names, and gets the same random values.
    """

    def call(answer: Callable, case: Case) -> Any:
        sizes, inputs = case
        state = random_state(reference(**sizes))
        module = answer(**sizes)
        if not isinstance(module, nn.Module):
            raise Fault("it is no `nn.Module`: write `class Name(nn.Module)`, and call `super().__init__()` first")
        fill(module, state)
        wanted = tensors_of(inputs)
        with torch.enable_grad():
            for tensor in wanted:
                tensor.requires_grad_()
            outputs = module.eval()(*inputs)
            total = sum((tensor * tensor.detach().cos()).sum() for tensor in tensors_of(outputs))
            gradients = torch.autograd.grad(total, wanted, allow_unused=True)
        return {"output": outputs, "gradient": [torch.zeros(()) if g is None else g for g in gradients]}

    return call


def random_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Random values for every parameter and buffer of a module, variances positive."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in module.state_dict().items():
        inputs = value[0].numel() if value.dim() > 1 else 4
        drawn = torch.randn(value.shape, generator=generator) / max(inputs, 1) ** 0.5
        state[name] = drawn.abs() + 0.5 if name.endswith("running_var") else drawn
        state[name] = value if not value.is_floating_point() else state[name]
    return state


def fill(module: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Give a module the values, strictly. Fault names what is missing, what is too much, and another shape."""
    theirs = module.state_dict()
    if missing := [name for name in state if name not in theirs]:
        extra = [name for name in theirs if name not in state]
        instead = f"; it has {', '.join(f'`{name}`' for name in extra[:6])} instead" if extra else ""
        raise Fault(f"it has no parameter `{'`, `'.join(missing[:6])}`{instead}. Published weights come by these names")
    if extra := [name for name in theirs if name not in state]:
        raise Fault(f"it has parameters that the published weights have not: `{'`, `'.join(extra[:6])}`")
    for name, value in state.items():
        if theirs[name].shape != value.shape:
            shapes = f"{tuple(theirs[name].shape)}, where {tuple(value.shape)} was expected"
            raise Fault(f"its parameter `{name}` has shape {shapes}")
    module.load_state_dict(state)


def tensors_of(value: Any) -> list[torch.Tensor]:
    """All tensors of floating-point numbers in nested lists, tuples and dicts."""
    if isinstance(value, dict):
        return tensors_of(list(value.values()))
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_of(item)]
    return [value] if isinstance(value, torch.Tensor) and value.is_floating_point() else []
