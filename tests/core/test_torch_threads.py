"""Small work in torch uses one thread, and leaves the user's choice as it was."""

from __future__ import annotations

import pytest
import torch

from eva_sim.torch_threads import one_torch_thread


@pytest.mark.parametrize("chosen", [1, 3])
def test_one_thread_and_then_as_before(chosen: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(chosen)
    try:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        with pytest.raises(ZeroDivisionError), one_torch_thread():
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == chosen
    finally:
        torch.set_num_threads(before)
