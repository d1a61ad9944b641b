"""
GitHub logins: the names of users and organisations, which ignore case.

GitHub decides which logins exist. Accounts from before 2013 may begin or end with a hyphen or have two
in a row, and managed accounts contain an underscore, so a stricter rule would reject real users.
"""

import re

LOGIN_CHARACTERS = "A-Za-z0-9_-"
"""The characters of a login, for a class of a regular expression."""

_MAX_LOGIN_CHARACTERS = 39

LOGIN_PATTERN = f"[{LOGIN_CHARACTERS}]{{1,{_MAX_LOGIN_CHARACTERS}}}"
"""Regular expression that a whole login must match."""

LOGIN = re.compile(LOGIN_PATTERN)
"""The pattern, compiled; `fullmatch` says whether GitHub can have an account of this login."""
