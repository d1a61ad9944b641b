"""
The public service: previews, permanent banners and their numbers.

`banner_responses` is pure: it builds bodies and headers. `banner_service` finds the numbers and
draws, with the help of the `backends`; `public_routes` and `error_handlers` speak HTTP.
`response_cache` answers repeated requests before any of them runs. `refresh` and `outbox` work in
the background. `api_service` is the composition root.
"""
