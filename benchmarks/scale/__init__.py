"""How the platform's bookkeeping grows: partitions, events, journal."""
