"""The descent that trains every network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eva_sim.agents.models.descent import Descent, descend
from eva_sim.agents.models.training_state import TrainingState


def test_a_descent_repeats_with_its_seed_and_lowers_the_loss() -> None:
    def run(seed: int) -> tuple[list[float], Tensor]:
        torch.manual_seed(0)
        network = nn.Linear(4, 1)

        def loss(generator: torch.Generator) -> Tensor:
            inputs = torch.randn(16, 4, generator=generator)
            value: Tensor = (network(inputs)[:, 0] - inputs.sum(1)).square().mean()
            return value

        descent, state = Descent(300, 0.05, 0.0, seed), TrainingState(None, {})
        losses = descend(network, loss, descent, state, does="test", logged_as="test/loss")
        return losses, network.weight.detach()

    first, again, other = run(1), run(1), run(2)
    assert first[0] == again[0] and torch.equal(first[1], again[1])
    assert first[0] != other[0]
    assert len(first[0]) == 3 and first[0][-1] < 0.01 * first[0][0]
