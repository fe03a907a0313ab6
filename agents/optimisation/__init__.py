"""The best reachable command for a given face, by optimisation."""
