"""The media types of responses."""

JSON = "application/json"
PNG = "image/png"
SVG = "image/svg+xml"
SVG_UTF_8 = f"{SVG}; charset=utf-8"
