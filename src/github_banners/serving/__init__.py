"""
HTTP server, logs, health, metrics and worker processes of a service.

`server` and `http_protocol` wrap uvicorn; `service` describes what is served. `framework` and
`framework` is shared by the routes of all services. `worker_process` runs a function in a process
of its own, whose main program is `worker_main`; `workers` runs several processes of one service.
The package knows nothing of banners.
"""
