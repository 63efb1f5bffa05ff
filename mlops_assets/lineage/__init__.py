"""Where something came from, what saw it, and whether its bytes are still those of its hashes."""
