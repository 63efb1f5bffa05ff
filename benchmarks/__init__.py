"""What the platform costs, measured against named peers in the same run."""
