"""
In-memory caches of one process, without locks and awaits.

`lru` is the bounded map behind every cache: snapshots in `stats`, pictures and responses in `api`.
"""
