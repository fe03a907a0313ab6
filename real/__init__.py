"""The robot: serial adapter, firmware and virtual robot.

Empty in this version. What will live here has to satisfy `eva_sim.contract.Face`, the same contract
as the twin, so that whatever was learned on the twin runs on the robot unchanged.
"""
