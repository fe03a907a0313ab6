"""Mirroring: a person's expressions on the robot's face."""
