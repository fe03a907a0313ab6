"""Helpers for tests and benchmarks, also of other projects; fixtures need pytest.

- `fake_face.py`: faces cheap enough for tests.
- `fault_injection.py`: lines that lose, repeat or spoil bytes, killed processes, failing cameras.
- `conformance/`: the table of faults, for any firmware of docs/protocol.md.
- `robot_fixtures.py`, `calibration_rig.py`, `board_rigs.py`, `virtual_bench.py`: fixtures.
- `pulse_watcher.py`: checks every pulse of a robot against what is allowed.
- `protocol_oracle.py`: a second implementation of the wire protocol.
- `firmware_host.py`: the firmware's C code compiled for this computer.
- `other_jobs.py`: a busy computer.
- `surface_geometry.py`: whether surfaces cross.
"""
