"""Fixtures for the tests of safety."""

from eva_sim.testing.robot_fixtures import board, face, guarded, machine, mock, watcher

__all__ = ["board", "face", "guarded", "machine", "mock", "watcher"]
