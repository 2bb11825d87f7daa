"""A person moves the arm: devices, their meaning, and the node that sends it."""
