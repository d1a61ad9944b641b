"""
Count, and decide how old an answer may be.

`counting`, `freshness` and `deadline` are pure; `memory` is bounded in bytes; `lookup` finds the
numbers of one owner: memory, database, GitHub, else the old answer. `turns` says which process asks,
`saving` keeps what it learns.
"""
