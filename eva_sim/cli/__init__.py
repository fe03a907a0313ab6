"""The `eva` command. Every subcommand calls one function of the package."""

from eva_sim.cli.commands import main

__all__ = ["main"]
