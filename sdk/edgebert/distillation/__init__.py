"""How a student learns: objectives, soft labels, optimizers and the training loop."""
