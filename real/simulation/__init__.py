"""Boards and servos without hardware: simulated firmware, simulated devices, and the hidden robot."""
