"""Studies: which choice learns better? Each choice is trained and tried in the same way."""
