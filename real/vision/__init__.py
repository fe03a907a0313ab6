"""The camera before the robot, and landmarks from its pictures."""
