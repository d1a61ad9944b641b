"""
Live banners of a developer's GitHub work.

The packages in reading order, along the path of a number from GitHub to a README:

- `models`, `errors`, `settings`, `options`: the domain model; they import nothing of ours but `errors`
- `circuit_breaker`: when to stop calling a service that is down; `log_throttle`: when to log it again
- `cache`: a map bounded in bytes, behind all in-memory caches
- `github`: the API client
- `stats`: aggregation, freshness, and the lookup from cache to GitHub
- `database`: PostgreSQL
- `drawing`: SVG and PNG
- `messaging`: Kafka and signed HTTP between the services
- `api`, `renderer`, `storage`: the three services
- `serving`: the HTTP server, health, logs and metrics of a service
- `app`: everything in one process, or the api beside other services; `supervisor`: its worker processes
- `render_once`: one banner without a database; `diagnostics`: the report of `check`
- `cli`: the command
"""

__version__ = "0.1.0"
