"""Export of the inverse model: an ONNX file that needs neither torch nor this package, and its contract.

The file holds normalisation, network and limits: aligned landmarks in, whole commands out. The graph is
written operator by operator, since torch's own exporter needs further libraries for the same ten operators.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from eva_sim import __version__
from eva_sim.agents.models.inverse import OVERSHOOT, InverseModel
from eva_sim.contract import FaceSpec
from eva_sim.errors import EvaError
from eva_sim.files import atomic_files, check_output_folder, write_json
from eva_sim.landmarks import POINTS, RIGID
from eva_sim.optional import import_optional

ONNX_FILE, CONTRACT_FILE = "inverse.onnx", "inverse.json"
#: Rises when clients must read the contract in another way.
CONTRACT_FORMAT = 1
INPUT, OUTPUT = "landmarks", "commands"
#: Versions of operators and of the file that runtimes since 2022 read.
_OPSET, _FILE_VERSION = 17, 8
#: Largest difference of a command between the exported model and this one, 0.005 % of travel. Runtimes add in
#: other orders, and the last digits of single precision differ.
_SAME = 1e-4
#: Faces that both models are asked for, and how far beyond the babbled range some of them are.
_PROBES, _BEYOND = 256, 3.0

Array = NDArray[np.float32]


def export_onnx(model: InverseModel, out: str | os.PathLike[str]) -> dict[str, Any]:
    """Writes `inverse.onnx` and its contract `inverse.json` into a folder, once both models agree.

    Args:
        model: to be exported.
        out: the folder.

    Returns:
        The content of `inverse.json`.

    Raises:
        EvaError: a library is missing, or the exported model gives other commands; nothing is written.
        DataError: the folder cannot be written.
    """
    folder = check_output_folder(out)
    onnx = import_optional("onnx", "onnx")
    _import_runtime()
    content = _build_graph(onnx, model).SerializeToString()
    difference = _largest_difference(content, model)
    if not difference <= _SAME:
        raise EvaError(
            f"the exported model differs from this one by up to {difference:.2g} of a command in [-1, 1], "
            f"more than {_SAME:g}; nothing was written. Update onnx and onnxruntime, or train again."
        )
    contract = describe_contract(model, content)
    with atomic_files(folder) as part:
        (part / ONNX_FILE).write_bytes(content)
        write_json(part / CONTRACT_FILE, contract)
    return contract


def describe_contract(model: InverseModel, content: bytes) -> dict[str, Any]:
    """Returns what a client must know of an exported model, for JSON.

    Args:
        model: that was exported.
        content: of its ONNX file.
    """
    spec = model.spec
    return {
        "format": CONTRACT_FORMAT,
        "model": ONNX_FILE,
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "made_by": f"eva-sim {__version__}",
        "spec_digest": spec.digest,
        "control_rate_hz": round(1 / spec.control_dt, 6),
        "input": {
            "name": INPUT, "dtype": "float32", "shape": ["batch", len(POINTS), 3],
            "unit": "distance between the outer eye corners of the neutral face",
            "axes": "x to the face's own left, y up, z out of the face",
            "origin": "midway between the outer eye corners of the neutral face",
            "points": list(POINTS),
            "points_are": "indices of MediaPipe's 478 face landmarks, in the order of the rows",
            "alignment": "least-squares similarity that moves the rigid points onto those of `neutral`",
            "rigid_points": list(RIGID),
            "neutral": model.neutral.astype(float).round(6).tolist(),
            "finite": "values that are not finite give commands that are not finite",
        },
        "output": {
            "name": OUTPUT, "dtype": "float32", "shape": ["batch", len(spec)], "low": -1.0, "high": 1.0,
            "physical": "low + (command + 1) / 2 * (high - low), with low and high of the actuator",
            "actuators": _describe_actuators(spec),
        },
    }  # fmt: skip


def _describe_actuators(spec: FaceSpec) -> list[dict[str, Any]]:
    moved = set(spec.expressive.tolist())
    rest = spec.neutral.astype(float).round(6)
    return [
        {
            "name": each.name, "kind": each.kind, "side": each.side, "unit": each.unit,
            "low": each.low, "high": each.high, "neutral": each.neutral,
            "neutral_command": float(rest[row]), "predicted": row in moved,
        }
        for row, each in enumerate(spec.actuators)
    ]  # fmt: skip


class _Chain:
    """Operators in a row, each of which takes the value of the one before first."""

    def __init__(self, onnx: Any, value: str) -> None:
        self._onnx, self.value = onnx, value
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: Array | str, result: str = "", **attributes: Any) -> None:
        """Appends an operator; its further inputs are arrays, or names of earlier values."""
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        result = result or f"value_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(operator, [self.value, *names], [result], **attributes))
        self.value = result

    def add_layer(self, layer: nn.Module) -> None:
        """Appends a layer of the network.

        Raises:
            EvaError: a layer of another kind.
        """
        if isinstance(layer, nn.Linear):
            weight, bias = (each.detach().numpy() for each in (layer.weight, layer.bias))
            self.add("Gemm", weight, bias, transB=1)
        elif isinstance(layer, nn.SiLU):
            before = self.value
            self.add("Sigmoid")
            self.add("Mul", before)
        else:
            kind = type(layer).__name__
            raise EvaError(f"a layer {kind} cannot be exported; export linear layers and SiLU.")

    def _constant(self, array: Array) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def _build_graph(onnx: Any, model: InverseModel) -> Any:
    """Returns the model as ONNX: landmarks (B, N, 3) to commands (B, 25), rest where none is predicted."""
    spec = model.spec
    chain = _Chain(onnx, INPUT)
    chain.add("Flatten", axis=1)
    chain.add("Sub", model.mean.numpy())
    chain.add("Div", model.scale.numpy())
    for layer in model.network:
        chain.add_layer(layer)
    chain.add("Tanh")
    chain.add("Mul", np.array(OVERSHOOT, np.float32))
    chain.add("Clip", np.array(-1, np.float32), np.array(1, np.float32))
    place = np.eye(len(spec), dtype=np.float32)[spec.expressive]
    rest = np.where(place.any(0), 0, spec.neutral).astype(np.float32)
    chain.add("Gemm", place, rest, result=OUTPUT)
    single, value = onnx.TensorProto.FLOAT, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        chain.nodes, "inverse_model",
        [value(INPUT, single, ["batch", len(POINTS), 3])], [value(OUTPUT, single, ["batch", len(spec)])],
        chain.constants,
    )  # fmt: skip
    built = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=_FILE_VERSION,
        producer_name="eva-sim", producer_version=__version__,
    )  # fmt: skip
    onnx.checker.check_model(built, full_check=True)
    return built


def _largest_difference(content: bytes, model: InverseModel) -> float:
    """Returns the largest difference of a command between an exported model and the model itself."""
    runtime = _import_runtime()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng, reach = np.random.default_rng(0), model.range_high - model.range_low
    drawn = rng.uniform(0, 1, (_PROBES, *model.neutral.shape))
    far = drawn[: _PROBES // 4]  # there, commands are clipped
    far[:] = rng.normal(0.5, _BEYOND, far.shape)
    probes = (model.range_low + reach * drawn).astype(np.float32)
    batches = probes, probes[:1], model.neutral[None]
    answers = [session.run([OUTPUT], {INPUT: batch})[0] for batch in batches]
    wrong = [np.abs(got - model.predict(batch)) for got, batch in zip(answers, batches, strict=True)]
    return float(max(each.max() for each in wrong))


def _import_runtime() -> Any:
    """Imports onnxruntime. Releases from 1.29 on send usage data unless this variable says no.

    Raises:
        EvaError: it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return import_optional("onnxruntime", "onnx")
