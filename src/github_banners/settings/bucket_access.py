"""Whether the settings suffice for access to an S3 bucket. Pure."""

from collections.abc import Mapping
from typing import Any

from github_banners.settings.environment import is_set

# obstore reads these itself: the identity of a Kubernetes service account, of an ECS task or an EKS
# pod, and of an EC2 instance. Each with what it needs besides; without that, obstore uses the metadata
# server of EC2 instead.
_ROLE_VARIABLES = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": None,
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT": None,
}
_REGION_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def has_bucket_access(environment: Mapping[str, str]) -> bool:
    """Return True if a key or a role is set; of several services only the storage needs one."""
    return any(is_set(environment, name) for name in (*_KEYS, *_ROLE_VARIABLES))


def find_bucket_problems(
    values: Mapping[str, Any], environment: Mapping[str, str], *, reported: str = ""
) -> list[str]:
    """
    Return a sentence for everything that access to a bucket lacks.

    `values` are settings by the name of their field, `reported` are the problems that were found
    before: a variable in them is not missing.
    """
    problems = []
    endpoint = values.get("aws_endpoint_url")
    is_reported = any(name in reported for name in _REGION_VARIABLES)
    if endpoint is None and not values.get("aws_region") and not is_reported:
        problems.append("AWS_REGION is missing: set it to the region of the bucket")
    if endpoint and endpoint.lower().startswith("http:") and not values.get("aws_allow_http"):
        problems.append("AWS_ENDPOINT_URL is without TLS: use https, or set AWS_ALLOW_HTTP to true")
    missing = [name for name in _KEYS if values.get(name.lower()) is None and name not in reported]
    if len(missing) == 1:
        problems.append(f"{missing[0]} is missing: an access key has both an id and a secret")
    elif missing:
        problems += _find_role_problems(environment, missing)
    if values.get("aws_session_token") is not None and len(missing) == len(_KEYS):
        problems.append("AWS_SESSION_TOKEN is of no use without AWS_ACCESS_KEY_ID")
    return problems


def _find_role_problems(environment: Mapping[str, str], missing_keys: list[str]) -> list[str]:
    roles = [name for name in _ROLE_VARIABLES if is_set(environment, name, may_be_file=False)]
    if not roles:
        choices = ", ".join(_ROLE_VARIABLES)
        unread = ", AWS_PROFILE is not read" if is_set(environment, "AWS_PROFILE") else ""
        return [f"{' and '.join(missing_keys)} are missing{unread}: set them, or one of {choices}"]
    return [
        f"{needed} is missing: {name} gives no access without it"
        for name in roles
        if (needed := _ROLE_VARIABLES[name]) and not is_set(environment, needed, may_be_file=False)
    ]
