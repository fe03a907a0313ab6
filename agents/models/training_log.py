"""Losses of a training as TensorBoard events, to watch while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from eva_sim.optional import import_optional

#: Subfolder of a model's folder with the events of its training.
EVENTS = "tensorboard"

_writer: ContextVar[Any] = ContextVar("writer", default=None)


@contextmanager
def log_to_tensorboard(folder: Path) -> Iterator[None]:
    """Within this context, `log_loss` writes into the folder.

    A training that goes on adds to what is there. TensorBoard drops what an interrupted one wrote twice.

    Raises:
        EvaError: tensorboard is not installed.
    """
    import_optional("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))
    token = _writer.set(writer)
    try:
        yield
    finally:
        _writer.reset(token)
        writer.close()


def log_loss(name: str, value: float, step: int) -> None:
    """Notes the loss of a network after a number of steps or epochs, if losses are logged.

    Args:
        name: of the network and its loss, as in `direct/validation_error`.
        value: of the loss.
        step: number of steps or epochs so far.
    """
    if (writer := _writer.get()) is not None:
        writer.add_scalar(name, value, step)
