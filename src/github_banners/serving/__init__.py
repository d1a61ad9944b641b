"""
Run a service: the server, the logs, health and metrics. Knows `settings` and `errors`, and no banner.

`run` knows the server, `service` what is served; `framework` and `answers` are what all doors share;
`workshop` has work done in a process of its own.
"""
