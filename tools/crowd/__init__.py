"""Synthetic people with known expression, gaze and head pose, to test mirroring on."""
