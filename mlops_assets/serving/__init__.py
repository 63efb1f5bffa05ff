"""The state of serving: what it may become, and how a change takes effect."""
