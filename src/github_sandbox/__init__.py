"""
A GitHub stand-in over HTTP: invents users, replays recordings, limits rates, fails on demand.

Reading order: `nouns`, then who lives here (`words`, `cast`, `world`, `recordings`, `population`),
what REST says of them (`listing`, `bodies`), what GraphQL says (`connections`, `plans`, `prices`,
`fields`, `graphql`), what it costs and how it fails (`limits`, `faults`), how it is answered
(`answers`, `desk`), and the HTTP layer (`routes`, `control`, `breakage`, `app`).
"""

from github_sandbox.app import create_app
from github_sandbox.cast import SAMPLE_USERS
from github_sandbox.faults import Failure
from github_sandbox.recordings import RecordingsError

__all__ = ["SAMPLE_USERS", "Failure", "RecordingsError", "create_app"]
