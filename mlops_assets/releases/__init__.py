"""Releases: a registered model becomes a bento, and a bento becomes what serves."""
