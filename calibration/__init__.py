"""Where the cameras are and how late everything is: measurements, checks and their results."""
