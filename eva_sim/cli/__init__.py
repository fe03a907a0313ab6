"""The `eva` command. Each module holds the subcommands of one subject; `app` puts them together."""

from eva_sim.cli.app import main

__all__ = ["main"]
