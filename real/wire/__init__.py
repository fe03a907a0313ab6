"""The serial link to a board: wire protocol, ports, and the table that host and firmware share."""
