"""The same classifier as users of other frameworks write it; each runs in its own environment."""
