"""Where a camera is now: the system numbers cameras anew when one is unplugged or plugged in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from eva_sim.errors import SEE_DOCTOR, MediaError

#: The video devices of this computer, as Linux lists them; other systems have no such folder.
VIDEO_DEVICES = Path("/sys/class/video4linux")


class UsbCamera(NamedTuple):
    """What stays the same of a USB camera while its number changes.

    Attributes:
        vendor: USB id of the vendor.
        product: USB id of the product.
        serial_number: serial number; empty if it has none.
        socket: the USB socket it is plugged into, which identifies a camera without a serial number.
        stream: which of the camera's streams: USB interface, and number within it.
    """

    vendor: str
    product: str
    serial_number: str
    socket: str
    stream: tuple[str, str]

    @classmethod
    def at(cls, node: Path) -> UsbCamera | None:
        """The camera of an entry of `VIDEO_DEVICES`; None if there is none, or none on USB."""
        interface = Path(os.path.realpath(node / "device"))
        usb = interface.parent
        vendor, product = _content(usb / "idVendor"), _content(usb / "idProduct")
        if not (vendor and product):
            return None
        socket, _, number = interface.name.partition(":")
        return cls(vendor, product, _content(usb / "serial"), socket, (number, _content(node / "index")))

    def is_same(self, other: UsbCamera | None) -> bool:
        """Whether the other one is this camera: by serial number, or else by its socket."""
        if other is None or not self.serial_number:
            return self == other
        return self._replace(socket="") == other._replace(socket="")


class CameraLookup:
    """Looks up a camera again after it was lost.

    Args:
        device: its number or path when it was opened.
    """

    def __init__(self, device: int | str) -> None:
        name = f"video{device}" if isinstance(device, int) else Path(os.path.realpath(device)).name
        self.name, self._camera = f"camera {device}", UsbCamera.at(VIDEO_DEVICES / name)

    @property
    def is_recognisable(self) -> bool:
        """Whether the camera can be told from others; if not, it must not be looked up."""
        return self._camera is not None

    def number(self) -> int:
        """Returns the number of the same camera now.

        Raises:
            MediaError: it is not plugged in.
        """
        for node in sorted(VIDEO_DEVICES.glob("video*")):
            if self._camera is not None and self._camera.is_same(UsbCamera.at(node)):
                return int(node.name.removeprefix("video"))
        raise MediaError(f"{self.name} is not plugged in; plug it in again. {SEE_DOCTOR}")


def _content(file: Path) -> str:
    """Content of a file of the system; empty if there is none."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
