"""The Gymnasium ids of this package. Imported by `import eva_sim`, so it must stay light."""

from gymnasium.envs.registration import register, registry

#: id -> class of one environment; many at once are the class of that name with "Vector" in it. The
#: number after -v rises when results would no longer be comparable.
IDS = {
    "EVA/Pose-v0": "eva_sim.envs.pose:PoseEnv",
    "EVA/Mimic-v0": "eva_sim.envs.mimic:MimicEnv",
}


def register_ids() -> None:
    """Registers every id once; calling it again changes nothing."""
    for name, entry_point in IDS.items():
        if name not in registry:
            many = entry_point.replace("Env", "VectorEnv")
            register(id=name, entry_point=entry_point, vector_entry_point=many)
