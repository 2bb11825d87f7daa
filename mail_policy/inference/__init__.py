"""A trained policy at work: history, predictor, sessions."""
