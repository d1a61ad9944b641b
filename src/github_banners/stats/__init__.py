"""
Finds the numbers of owners with the least requests to GitHub.

Start with `lookup`: cache (`snapshots`), database, GitHub (`fetch`), else the stale numbers. `snapshots`
also saves results in the background, `fetch_leases` coordinates processes, `stale_refresher` fetches
stale owners in batches, and `budget` shares the rate limit of one account among processes.
"""
