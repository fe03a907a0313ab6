"""Fixtures for the tests of the firmware."""

from eva_sim.testing.firmware_host import active, firmware_host, program

__all__ = ["active", "firmware_host", "program"]
