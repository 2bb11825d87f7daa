"""Hand-written C++ for what torch does slowly at batch 1. Everything here has a twin in torch."""
