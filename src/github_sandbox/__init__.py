"""
A fake GitHub API over HTTP for tests and demos: generated users, recordings, rate limits, faults.

`create_app` returns an ASGI application with GitHub's REST and GraphQL APIs. Modules in reading order:

- `models`: accounts and repositories
- `sample_data`, `repository_data`, `repository_details`, `contribution_generator`, `generator`,
  `recordings`: where accounts come from; `account_store`: the current ones
- `rest`: repository lists and JSON bodies
- `contributions`: the contributions of a user in a window of time
- `connections`, `query_cost`, `resolvers`, `graphql`: GraphQL, executed by graphql-core
- `rate_limits`, `faults`: what a request is charged, and whether it fails
- `responses`, `service`: requests to responses, without the web framework
- `routes`, `control`, `fault_middleware`, `app`: the web application
"""

from github_sandbox.app import create_app
from github_sandbox.faults import Failure
from github_sandbox.recordings import RecordingsError
from github_sandbox.sample_data import EXAMPLE_LOGIN, SAMPLE_USERS

__all__ = ["EXAMPLE_LOGIN", "SAMPLE_USERS", "Failure", "RecordingsError", "create_app"]
