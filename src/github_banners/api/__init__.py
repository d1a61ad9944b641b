"""
The public door: pictures, numbers and permanent banners.

`delivery` is pure: what goes over the wire and with which headers. `banners` finds the numbers and
draws; `routes` and `problems` speak HTTP; `hot` answers from memory before any of them is asked;
`app` puts it together.
"""
