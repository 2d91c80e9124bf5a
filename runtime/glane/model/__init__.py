"""What runtime, trainer and export share: the checkpoint, text preparation, scores, the encoder."""
