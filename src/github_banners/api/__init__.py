"""
The public door: pictures, numbers and permanent banners.

`delivery` is pure: what goes over the wire and with which headers. `banners` finds the numbers and
draws, with the help of its `neighbours`; `routes` and `problems` speak HTTP; `hot` answers from
memory before any of them is asked; `refresh` and `outbox` work in the background; `app` puts it
together.
"""
