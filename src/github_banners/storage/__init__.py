"""
The storage service: banner pictures on disk, one file per permanent banner, the newest version only.

`banner_path` and `picture_format` are pure: they validate paths and pictures, and encode a picture's
version. `store` reads and writes the files, `banner_batch` stores several pictures per request,
`banner_routes` and `storage_service` serve it all over HTTP.
"""
