"""Models without numbers: for counting them, or for weights from a file that would overwrite random ones."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

DRAWS = {
    *(Tensor.normal_, Tensor.uniform_),
    *(init.normal_, init.uniform_, init.kaiming_normal_, init.kaiming_uniform_, init.xavier_uniform_),
}


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules made inside are on the meta device: shapes that take no memory. `weights.load` gives them numbers.

    Nothing is drawn, either: drawing there is the first thing for which PyTorch would import a thousand modules more.
    """
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Inside it a tensor that would be filled with random numbers is left as it is."""

    def __torch_function__(
        self, function: Callable, types: Iterable[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in DRAWS:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)
