"""How good is a policy: roll-outs and statistics."""
