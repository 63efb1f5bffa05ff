"""Ways to run one exported model, compared on this host: precision, parity, speed, size."""
