"""Values, kinematics, configuration and motion core. Imports numpy and yaml only."""
