"""The simulated twin: a robot, its scene and its cameras, without hardware."""
