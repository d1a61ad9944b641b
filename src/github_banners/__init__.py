"""
Live banners of a developer's GitHub work.

In reading order, along the way a number takes from GitHub to a README:

- `model`, `errors`, `settings`, `look`: the nouns; they import nothing of ours
- `circuit`: when to stop asking whoever does not answer; `log_throttle`: when to log it again
- `github`: ask GitHub
- `stats`: count, and decide how old an answer may be
- `database`: keep it
- `drawing`: draw it
- `messages`: send it between services
- `api`: hand it out; `renderer` draws and `storage` keeps for it
- `serving`: run a service
- `app`: all of it in one process, or the api among others; `launch`: one process or several
- `sketch`: one banner without a database; `checkup`: does everything work?
- `cli`: the command

`github_sandbox`, a package of its own, is a fake GitHub API for tests and demos.
"""

__version__ = "0.1.0"
