"""Babbled data sets: recording and reading them."""
