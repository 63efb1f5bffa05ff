"""Drift: how seldom the trigger alarms falsely, and how well it finds real shifts."""
