"""The console's server: one JSON API, one stream of changes, and the built pages."""
