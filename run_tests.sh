#!/bin/sh
# Run all checks and tests; arguments are passed to pytest.
cd "$(dirname "$0")" && exec make test PYTEST_ARGS="$*"
