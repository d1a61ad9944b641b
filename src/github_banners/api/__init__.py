"""
The public service: previews, permanent banners and their numbers.

`public_routes` and `error_handlers` speak HTTP. `banner_service` finds the numbers, `pictures` draws
them, with the help of the `backends`, and builds the responses with pictures. `response_cache` answers
repeated requests before any of them runs. `refresh` and `outbox` work in the background.
`api_service` is the composition root.
"""
