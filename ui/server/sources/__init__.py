"""What the console asks: each source is looked at in the background and kept as it last was."""
