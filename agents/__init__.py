"""Learning: babbling, data sets, the inverse model, baselines and their evaluation."""
