"""The console: a page for people over everything the platform knows and does."""
