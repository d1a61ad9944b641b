#!/bin/sh
# Format, lint, types, tests; arguments go to pytest.
cd "$(dirname "$0")" && exec make test PYTEST_ARGS="$*"
