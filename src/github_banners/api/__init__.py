"""
The public service: previews, permanent banners and their numbers.

`public_routes` and `error_handlers` speak HTTP. `banner_service` finds the numbers, `pictures` draws
them, with the help of the `backends`, and builds the responses with pictures. `response_cache` answers
repeated requests before any of them runs. `served_users` says who may have banners, `rate_limit` limits
clients. `compatibility` translates the URLs of other services, `builder`, `docs` and `banner_page` are
HTML pages. `refresh`, `data_refresh`, `outbox`, `forgetting` and `gone_users` work in the background,
built by `background_work`. `api_service` is the composition root.
"""
