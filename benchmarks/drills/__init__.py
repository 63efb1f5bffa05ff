"""The loop while its programs are killed at random."""
