"""Registers the Gymnasium ids of this package. `import eva_sim` imports this, so it must stay light."""

from typing import NamedTuple

from gymnasium.envs.registration import register, registry


class RegisteredId(NamedTuple):
    """What is registered for one id.

    Attributes:
        entry_point: the single environment; N environments at once are the class of that name with
            "Vector" in it.
        max_episode_steps: control steps after which an episode is truncated, unless `gym.make` or
            `gym.make_vec` is given another number.
    """

    entry_point: str
    max_episode_steps: int


#: Every id. The number after -v rises when results would no longer be comparable.
IDS = {
    "EVA/Pose-v0": RegisteredId("eva_sim.envs.pose:PoseEnv", 100),
    "EVA/Mimic-v0": RegisteredId("eva_sim.envs.mimic:MimicEnv", 250),
}


def register_ids() -> None:
    """Registers every id once; calling it again changes nothing."""
    for name, (entry_point, steps) in IDS.items():
        if name not in registry:
            vector = entry_point.replace("Env", "VectorEnv")
            register(id=name, entry_point=entry_point, vector_entry_point=vector, max_episode_steps=steps)
