"""The simulated world. The only place that imports MuJoCo and franky-sim."""

from mail_sim.world.graphics import choose_graphics

# MuJoCo decides at its first import how it draws, so this must run before any of them.
choose_graphics()
