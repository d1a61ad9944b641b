"""
Finds the numbers of owners with the least requests to GitHub.

Start with `lookup`: cache (`snapshots`), database, GitHub, else the stale numbers; `fetch` has what all
lookups share: deadlines, and one fetch for all requests. `snapshots` also saves results in the
background, `fetch_leases` coordinates processes, `stale_refresher` fetches stale owners in batches, and
`budget` shares the rate limit of one account among processes.

What only some banners show is found in the same way: `data_lookup` and `data_fetch` for contributions,
sizes of languages and single repositories, `identity` for who has a login. `selection`,
`contribution_summary` and `banner_data` compute from it what a banner shows.
"""
