"""From a model to numbers: loss, schedule, training, checkpoints, inference and metrics."""
