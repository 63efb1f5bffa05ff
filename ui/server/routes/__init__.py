"""Routes of the console's API, below ``/api/v1``."""
