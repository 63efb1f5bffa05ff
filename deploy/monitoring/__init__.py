"""The alarms: what Prometheus scrapes, reckons and reports, and to whom Alertmanager tells it."""
