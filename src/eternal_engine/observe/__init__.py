"""Those who watch: log, alerts and the live view, all functions of frozen events behind bounded queues."""
