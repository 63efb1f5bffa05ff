"""What exists: the asset graph from raw bytes to a served, monitored model."""
