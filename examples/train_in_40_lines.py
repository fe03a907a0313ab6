"""A network learns from random faces which command makes which face. Then it copies faces it never saw."""

import numpy as np
import torch
from numpy.typing import NDArray

from eva_sim.agents.data.babbling import sample_command
from eva_sim.settling import settling_steps
from eva_sim.twin import Twins


def make_faces(twins: Twins, commands: NDArray) -> torch.Tensor:
    """Landmarks of faces that have settled in their commands (N, 25): (N, 450) [mm]."""
    twins.reset()
    for _ in range(settling_steps(twins.spec)):
        readings = twins.move(commands)
    return torch.as_tensor(1000 * twins.outer_eye * readings.landmarks.reshape(len(commands), -1)).float()


def main(faces: int = 2048, passes: int = 60) -> tuple[float, float]:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the network is small
    rng, twins = np.random.default_rng(0), Twins(faces, skin="reduced")
    test, spec = Twins(64, skin="full"), twins.spec
    commands = np.stack([sample_command(spec, rng) for _ in range(faces)])
    inputs, shown = make_faces(twins, commands), spec.expressive  # gaze and neck show in no landmark
    mean, scale = inputs.mean(0), inputs.std()
    layers = torch.nn.Linear(inputs.shape[1], 256), torch.nn.ReLU(), torch.nn.Linear(256, len(shown))
    network = torch.nn.Sequential(*layers, torch.nn.Tanh())
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(passes):
        for rows in torch.randperm(faces).split(128):
            guess = network((inputs[rows] - mean) / scale)
            loss = torch.nn.functional.mse_loss(guess, torch.as_tensor(commands[rows][:, shown]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    wanted = np.stack([sample_command(spec, rng) for _ in range(test.faces)])
    target, told = make_faces(test, wanted), np.tile(spec.neutral, (test.faces, 1))
    told[:, shown] = network((target - mean) / scale).detach().numpy()
    rest = torch.as_tensor(1000 * test.outer_eye * test.neutral_landmarks.reshape(1, -1))
    learned, still = ((f - target).reshape(-1, 3).norm(dim=1).mean() for f in (make_faces(test, told), rest))
    print(f"faces it never saw: {learned:.2f} mm from them; a resting face: {still:.2f} mm")
    return float(learned), float(still)


if __name__ == "__main__":
    main()
