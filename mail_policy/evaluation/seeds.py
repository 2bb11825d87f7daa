"""Which initial states are for training, and which for evaluation only."""

# Seeds below this one are for training, the others for evaluation.
FIRST_EVALUATION_SEED = 100_000
