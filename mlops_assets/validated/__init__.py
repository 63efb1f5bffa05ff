"""Validated images: what may be trained on, what may not and why, and the split."""
