"""
Keep: what PostgreSQL remembers of owners, their numbers and their banners.

In reading order: `connect` reaches the server, `migrations` makes the tables, `users`
and `banners` read and write them, `queue` says whose turn it is, `embedded` runs a server of our own.
The SQL is written as SQL, in functions on a connection; the caller owns the transaction. Rows are
locked in one order everywhere: users by id, then logins by name, then banners by id.
"""
