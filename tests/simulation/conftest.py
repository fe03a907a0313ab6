"""Fixtures for the tests of the simulated board."""

from eva_sim.testing.virtual_bench import active, bench

__all__ = ["active", "bench"]
