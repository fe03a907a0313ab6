"""What the muscle panel shows: sliders by region, with the names of their action units."""

from __future__ import annotations

from typing import Any

from eva_sim.contract import Actuator, FaceSpec
from eva_sim.expressions import load_expressions

#: Region of each skin patch or body that an actuator moves; others are grouped by the actuator's kind.
REGIONS = {
    "brow_inner": "Brows", "brow_outer": "Brows", "corrugator": "Brows",
    "lid": "Eyes", "eye_yaw": "Eyes", "eye_pitch": "Eyes",
    "levator": "Nose and upper lip",
    "zygomaticus": "Mouth", "depressor": "Mouth", "jaw": "Mouth",
    "neck": "Neck",
}  # fmt: skip
#: Names of action units; Ekman, Friesen and Hager, Facial Action Coding System, 2002.
ACTION_UNITS = {
    "AU1": "inner brow raiser", "AU2": "outer brow raiser", "AU4": "brow lowerer", "AU5": "upper lid raiser",
    "AU6": "cheek raiser", "AU7": "lid tightener", "AU9": "nose wrinkler", "AU10": "upper lip raiser",
    "AU12": "lip corner puller", "AU14": "dimpler", "AU15": "lip corner depressor",
    "AU16": "lower lip depressor",
    "AU17": "chin raiser", "AU18": "lip pucker", "AU20": "lip stretcher", "AU22": "lip funneler",
    "AU23": "lip tightener", "AU24": "lip pressor", "AU25": "lips part", "AU26": "jaw drop",
    "AU27": "mouth stretch", "AU43": "eyes closed", "AU51": "head turn left", "AU52": "head turn right",
    "AU53": "head up", "AU54": "head down", "AU55": "head tilt left", "AU56": "head tilt right",
    "AU61": "eyes turn left", "AU62": "eyes turn right", "AU63": "eyes up", "AU64": "eyes down",
}  # fmt: skip


def describe_panel(spec: FaceSpec) -> dict[str, Any]:
    """Returns sliders by region, names of expressions and of cables, as JSON."""
    regions: dict[str, list[dict[str, Any]]] = {}
    for actuator, neutral in zip(spec.actuators, spec.neutral.tolist(), strict=True):
        region = REGIONS.get(actuator.moves, actuator.kind.capitalize())
        regions.setdefault(region, []).append(_slider(spec, actuator, neutral))
    return {
        "face": spec.names,
        "regions": regions,
        "expressions": list(load_expressions(spec)),
        "cables": [spec.names[i] for i in spec.where("cable")],
        "control_dt": spec.control_dt,
    }


def _slider(spec: FaceSpec, actuator: Actuator, neutral: float) -> dict[str, Any]:
    name = actuator.name
    other = {"left": "right", "right": "left"}.get(actuator.side, "")
    twin = name.replace(actuator.side, other) if other else ""
    return {
        "name": name, "neutral": round(neutral, 4), "other_side": twin if twin in spec.names else "",
        "codes": " ".join(actuator.action_units) if len(actuator.action_units) < 3 else
                 f"{actuator.action_units[0]}-{actuator.action_units[-1]}",
        "meaning": ", ".join(ACTION_UNITS.get(code, code) for code in actuator.action_units),
    }  # fmt: skip
