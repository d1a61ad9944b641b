"""
The public service: previews, permanent banners and their numbers.

`public_routes` and `error_handlers` speak HTTP. `admission` decides which requests are served. `pictures`
finds what a banner shows and draws it, with the help of the `backends`; `banner_service` finds and creates
permanent banners. `response_cache` builds the responses with pictures, and answers repeated requests
before any of them runs. `compatible_route` serves the URLs of other services, `builder`, `docs` and
`banner_page` are HTML pages. `refresh`, `data_refresh`, `outbox`, `forgetting` and `gone_users` work in
the background, built by `background_work`. `api_service` is the composition root.
"""
