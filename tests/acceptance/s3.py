"""Fixtures of the S3 server, for the test files that import them."""

from tests.integration.conftest import bucket, s3_proxy, s3_server

__all__ = ["bucket", "s3_proxy", "s3_server"]
