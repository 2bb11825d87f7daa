"""What the robot looks like and where its frames are: URDF and TF from one model."""
