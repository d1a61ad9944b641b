"""
The composition roots of the api: `all_in_one` in one process, `distributed` among other services.

A module each, so that a process imports only what it runs. In one process a function stands where
between services a broker and signed HTTP do.
"""
