"""Schemas that cross a wall. Nothing here imports Dagster or torch."""
