"""
The storage service: banner pictures, one file or object per permanent banner, the newest version only.

`banner_path` and `picture_format` are pure: they validate paths and pictures, and encode a picture's
version. `folder_store` and `bucket_store` read and write pictures in a folder and in an S3 bucket,
`store` says what both do, `open_store` chooses, and `store_copy` copies from one to another.
`banner_batch` stores several pictures per request; `banner_routes` and `storage_service` serve it
all over HTTP.
"""
