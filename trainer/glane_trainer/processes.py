"""Several processes that train one model: what they tell each other.

Every process has the same weights, reads the same examples and computes the same loss; what costs,
encoding, is shared out. So a step differs from that of one process by rounding alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

Represented = tuple[Tensor, ...]
"""What texts are encoded as, one row a text in each part."""

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
"""Of what may be told, by number."""

MOST_PARTS, MOST_AXES = 4, 3

LONGEST = timedelta(hours=12)
"""How long the others wait while the first process measures."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a training, and which of them this is.

    Attributes:
        rank: Number of this one, from 0; the first tells people, and writes.
        number: How many there are.
    """

    rank: int = 0
    number: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one tells and writes."""
        return self.rank == 0

    def share(self, made: Represented | None, owner: int, device: torch.device) -> Represented:
        """Return what one process has made, in each of them.

        Args:
            made: That, or None in the others.
            owner: Number of the process.
            device: Where it is wanted.
        """
        if made is not None and self.number == 1:
            return made
        forms = _forms(made, device)
        distributed.broadcast(forms, owner)
        parts = []
        for place, (kind, n_axes, *shape) in enumerate(forms.tolist()):
            if kind < 0:
                break
            own = torch.empty(shape[:n_axes], dtype=DTYPES[kind], device=device)
            own = own if made is None else made[place].detach().contiguous()
            sent = own.to(torch.uint8) if own.dtype == torch.bool else own
            distributed.broadcast(sent, owner)
            parts.append(sent.to(own.dtype))
        return tuple(parts) if made is None else made

    def share_weights(self, model: nn.Module) -> None:
        """Give every process the first one's weights."""
        if self.number > 1:
            for tensor in model.state_dict().values():
                distributed.broadcast(tensor, 0)

    def add_gradients(self, model: nn.Module) -> None:
        """Give every process the sum of all processes' gradients, which began without any."""
        if self.number == 1:
            return
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        has_one = [parameter.grad is not None for parameter in parameters]
        n_with = torch.tensor(has_one, dtype=torch.int64, device=parameters[0].device)
        distributed.all_reduce(n_with)
        for parameter, n in zip(parameters, n_with.tolist(), strict=True):
            if n:  # what has none in any process has none in one, and is not decayed
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)

    def any(self, mine: bool, device: torch.device) -> bool:
        """Return whether something is so in any of the processes."""
        if self.number == 1:
            return mine
        n = torch.tensor([int(mine)], device=device)
        distributed.all_reduce(n)
        return bool(n.item())


ALONE = Processes()


def launched(device: str) -> Processes:
    """Return the processes that `accelerate launch` or `torchrun` has started, joined.

    Args:
        device: What each computes on, "cpu" or "cuda"; of several it takes its own.

    Raises:
        ModuleNotFoundError: If there are several, and accelerate is missing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu", timeout=LONGEST)
    return Processes(state.process_index, state.num_processes)


def _forms(made: Represented | None, device: torch.device) -> Tensor:
    """Return type, number of axes and shape of each part; -1 where there is none."""
    rows = [[-1, 0, *[0] * MOST_AXES] for _ in range(MOST_PARTS)]
    for row, part in zip(rows, made or (), strict=False):
        shape = [*part.shape, *[0] * (MOST_AXES - part.ndim)]
        row[:] = [DTYPES.index(part.dtype), part.ndim, *shape]
    return torch.tensor(rows, device=device)
