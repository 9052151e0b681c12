"""Studies of active learning with a simulated analyst, who answers what the corpora say."""
