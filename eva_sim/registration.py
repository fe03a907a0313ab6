"""Registers the Gymnasium ids of this package. `import eva_sim` imports this, so it must stay light."""

from gymnasium.envs.registration import register, registry

#: Entry point of each id; N environments at once are the class of that name with "Vector" in it. The
#: number after -v rises when results would no longer be comparable.
IDS = {
    "EVA/Pose-v0": "eva_sim.envs.pose:PoseEnv",
    "EVA/Mimic-v0": "eva_sim.envs.mimic:MimicEnv",
}


def register_ids() -> None:
    """Registers every id once; calling it again changes nothing."""
    for name, entry_point in IDS.items():
        if name not in registry:
            vector = entry_point.replace("Env", "VectorEnv")
            register(id=name, entry_point=entry_point, vector_entry_point=vector)
