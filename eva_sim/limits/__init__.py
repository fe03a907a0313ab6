"""Limits that every body keeps: pulls, the neck's pose, reversals and heat."""
