"""
Runs a service: HTTP server, logs, health, metrics and worker processes. It knows nothing of banners.

`server` and `http_protocol` wrap uvicorn; `service` describes what is served. `framework` and
`responses` are shared by the routes of all services. `worker_process` runs a function in a process of
its own, whose main program is `worker_main`; `workers` runs several processes of one service.
"""
