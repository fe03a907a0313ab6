"""Where a board is now: its ports are looked up anew at each connection.

A device that is unplugged may come back under another path, and another device may have its path by then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from eva_sim.errors import SEE_DOCTOR, LinkError
from eva_sim.real.wire.known_ports import UsbDevice
from eva_sim.real.wire.serial_ports import listed_ports


class PortLookup:
    """Looks up the ports of one board, again and again.

    The first call of `paths` returns what was found when this object was made. Every later call looks for
    the same USB devices. Devices without a serial number are looked for as at first.

    Args:
        named: paths that the user named; none to search.
        search: returns the path of the only board of this kind.
        by_device: whether only the same USB device is the same robot. Boards with an id of their own are
            recognised by that, so another adapter may reach them.

    Raises:
        LinkError: there is no such port.
    """

    def __init__(self, named: Sequence[str], search: Callable[[], str], by_device: bool) -> None:
        self._search, self._by_device = search, by_device
        self._named = tuple(named)
        self._checked: list[str] | None = self._look()
        self._devices = [_device_at(path) for path in self._checked]

    @property
    def named_devices(self) -> list[UsbDevice]:
        """The USB devices behind ports that the user named, as far as they have serial numbers."""
        return [device for device in self._devices if device] if self._named else []

    def paths(self) -> list[str]:
        """Returns the paths of the ports as they are now.

        Raises:
            LinkError: a port is not there, or another device is.
        """
        checked, self._checked = self._checked, None
        if checked is not None:
            return checked
        back = self._back()
        if all(back):
            return back
        gone = [d for d, path in zip(self._devices, back, strict=True) if d and not path]
        if gone and self._by_device:
            numbers = ", ".join(device.serial_number for device in gone)
            raise LinkError(
                f"the USB device of this robot, serial number {numbers}, is not plugged in. "
                f"Plug it in and connect again; to use another robot, open that one. {SEE_DOCTOR}"
            )
        return [path or other for path, other in zip(back, self._look(), strict=True)]

    def plugged(self) -> list[str]:
        """Paths of the same USB devices as they are plugged in now, without opening them; else none."""
        back = self._back()
        return back if all(back) else []

    def _back(self) -> list[str]:
        """Path of each of the same USB devices now; "" for one that is not there, or has no serial number."""
        here = {device: str(port.device) for port in listed_ports() if (device := UsbDevice.of(port))}
        return [here.get(device, "") if device else "" for device in self._devices]

    def _look(self) -> list[str]:
        """The named paths, or the one that a search finds."""
        for path in self._named:
            if path.startswith("/") and not os.path.exists(path):
                raise LinkError(
                    f'there is no port {path}; is the board plugged in? "auto" searches for it. {SEE_DOCTOR}'
                )
        return list(self._named) or [self._search()]


def _device_at(path: str) -> UsbDevice | None:
    """The USB device behind a port, whichever link names it."""
    place = os.path.realpath(path)
    ports = (port for port in listed_ports() if os.path.realpath(port.device) == place)
    return next(map(UsbDevice.of, ports), None)
