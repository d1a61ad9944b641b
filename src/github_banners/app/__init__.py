"""
The composition roots of the api: `all_in_one` in one process, `distributed` with other services.

They are separate modules, so that a process imports only what it runs. In one process, local
functions replace the broker and signed HTTP. `open_user_removal` composes the commands `forget` and
`allow`.
"""
