"""Workers that do numbered jobs: this process, processes beside it, or actors of a Ray cluster."""
