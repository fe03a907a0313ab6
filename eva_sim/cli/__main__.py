"""Runs the `eva` command as `python -m eva_sim.cli`."""

from eva_sim.cli.app import main

main()
