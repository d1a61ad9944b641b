"""
PostgreSQL: owners, their numbers and their permanent banners.

In reading order: `session` opens connections, `connect` pools them and runs transactions, `migrations`
creates the tables, `users`, `repositories`, `owner_data` and `banners` read and write them, and
`forgotten_users` deletes users. `leases` and `data_leases` assign background work, `change_listener`
receives notifications, and `embedded` runs a server as a child process.

SQL is written as SQL, in functions on a connection; the caller owns the transaction. To avoid
deadlocks, rows are locked in one order everywhere: users by id, logins by name, banners by id, removed
pictures by path.
"""
