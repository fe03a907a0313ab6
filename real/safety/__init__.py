"""Safety on the host: limits of every command, and limp at the end of the program."""
