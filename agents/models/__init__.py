"""Learned models: landmarks to commands, and commands to landmarks."""
