"""
Serve live SVG and PNG banners with the public GitHub numbers of a user or organisation.

The packages in reading order, along the path of the data from GitHub to a README:

- `models`, `errors`, `logins`, `settings`, `options`: the domain model; of this project they import only
  `errors`, `logins` and each other
- `backoff`: delays after failures, and tasks that are run again; `circuit_breaker`: stop calling a service
  that is down; `log_throttle`: limit repeated log lines
- `http_client`: the HTTP client for GitHub and for our services
- `cache`: bounded in-memory caches
- `tasks`: run, time and end asyncio tasks
- `github`: the API client
- `stats`: freshness of numbers, and their lookup from cache to GitHub
- `database`: PostgreSQL
- `drawing`: SVG and PNG
- `messaging`: Kafka and signed HTTP between the services
- `api`, `renderer`, `storage`: the three services
- `serving`: the HTTP server, health, logs and metrics of a service
- `app`: compose all services in one process, or the api alone; `supervisor`: run it, in several workers
- `render_once`: render one banner without a database; `diagnostics`: the report of `check`
- `cli`: the command `github-banners`
"""

__version__ = "0.1.0"
