"""Bodies of the API from what was last seen of the sources: no view waits for a program."""
