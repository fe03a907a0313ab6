"""Recording a face, reading and replaying recordings, and exporting them to LeRobot."""
