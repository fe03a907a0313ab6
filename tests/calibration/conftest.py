"""Fixtures for the tests of calibration."""

from eva_sim.testing.calibration_rig import bench, bus, widest

__all__ = ["bench", "bus", "widest"]
