"""What the gate decides on planted candidates."""
