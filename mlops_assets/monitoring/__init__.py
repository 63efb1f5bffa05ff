"""From production back into the graph: predictions, labels, drift and performance."""
