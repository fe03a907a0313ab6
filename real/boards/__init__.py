"""Servo boards behind one small interface, `eva_sim.real.boards.interface.Board`."""
