"""The table of faults: each is injected into a moving robot, and a watcher checks every pulse.

- `rows.py`: the rows of the table, and how they are tried.
- `bench.py`: one fault's trials, and a watched board that a host keeps moving.
- `line.py`, `parts.py`: what may happen to bytes; to host, board, servo drivers, files and camera.
- `port_board.py`: a board at a serial port, seen from its host's side only.
"""
