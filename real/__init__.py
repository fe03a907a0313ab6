"""The robot: serial adapter, firmware and virtual robot. Start at docs/robot.md.

Everything here satisfies `eva_sim.contract.Face`, the same contract as the twin, so that whatever was
learned on the twin runs on the robot unchanged.
"""
