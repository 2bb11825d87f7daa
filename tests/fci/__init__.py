"""A robot that misbehaves on command, behind the network protocol of the real one."""
