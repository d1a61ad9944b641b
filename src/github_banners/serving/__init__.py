"""
HTTP server, logs, health, metrics and worker processes of a service.

`server` and `http_protocol` wrap uvicorn; `cached_responses` is the interface to a cache of responses.
`service` describes what is served, and `event_loop` runs it until a signal arrives. `framework` is shared
by the routes of all services, `media_types`, `health`, `logs` and `metrics` too; `telemetry` records traces,
and `progress` shows the progress of a command.
`worker_process` runs a function in a process of its own, whose main program is `worker_main`; `workers`
runs several processes of one service. The package imports neither the domain model nor banner options.
"""
