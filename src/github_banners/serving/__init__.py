"""Run a service: the server, the logs. Knows `settings` and `errors`, and no banner."""
