"""Calibration of a robot: endpoints with an operator, response by camera, and the file."""
