"""USB devices behind which a robot was found, so that they may be asked again without being named.

A USB serial adapter of a general kind may lead to a printer or a modem, which a question would disturb. It is
asked only if a person named its port before, and a robot answered there.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from eva_sim.config import config_folder
from eva_sim.errors import EvaError
from eva_sim.files import read_json, write_json


class UsbDevice(NamedTuple):
    """What stays the same of a USB device while its path changes.

    Attributes:
        vendor: USB id of the vendor.
        product: USB id of the product.
        serial_number: serial number, by which devices of one kind differ.
        interface: which of the device's ports, such as `1.0`; empty if it has only one.
    """

    vendor: int
    product: int
    serial_number: str
    interface: str

    @classmethod
    def of(cls, port: Any) -> UsbDevice | None:
        """The device of a port that pyserial lists; None if it has no serial number."""
        if port.vid is None or not getattr(port, "serial_number", None):
            return None
        interface = str(port.location or "").partition(":")[2]
        return cls(port.vid, port.pid, str(port.serial_number), interface)


def known_devices(kind: str) -> set[UsbDevice]:
    """Devices at which boards of this kind were found; none if the file is missing or damaged."""
    with suppress(EvaError, OSError, TypeError, AttributeError):  # also a list of something else
        return {UsbDevice(*row) for row in read_json(_path()).get(kind, ())}
    return set()


def remember_devices(kind: str, devices: Iterable[UsbDevice | None]) -> None:
    """Adds devices at which a board of this kind was found; a folder that cannot be written costs nothing."""
    known = known_devices(kind)
    if new := {device for device in devices if device} - known:
        content: dict[str, Any] = {}
        with suppress(EvaError, OSError):
            content = read_json(_path())
        content = content if isinstance(content, dict) else {}
        with suppress(EvaError, OSError):
            write_json(_path(), {**content, kind: sorted(known | new)})


def _path() -> Path:
    return config_folder() / "ports" / "known.json"
