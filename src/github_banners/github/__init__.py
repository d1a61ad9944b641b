"""
Ask GitHub: one owner in, every public repository out.

`protocol`, `rest` and `graphql` are pure: bytes in, nouns or a classified `Failure` out. `accounts`
knows which token may pay. `client` is the only one that sends.
"""
