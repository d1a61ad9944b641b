"""Request bodies and an event captured from another implementation of the same API."""

STATS = (
    b'{"total_repos":150,"original_repos":93,"forked_repos":57,"total_stars":11558,'
    b'"total_forks":1635,"languages":{"C":2,"CSS":1,"JavaScript":20,"Ruby":51,"Rust":4}}'
)
PREVIEW = (
    b'{"username":"wycats","banner_type":"dark","stats":'
    + STATS
    + b',"fetched_at":"2026-11-22T16:36:37.58608449Z"}'
)
STORE = b'{"url_path":"WyCats-dark","banner_info":"PHN2Zy8+","banner_format":"svg"}'
EVENT = (
    b'{"event_type":"github_banner_info_ready","event_version":1,'
    b'"produced_at":"2026-11-22T16:36:38.123456789Z","payload":{"username":"wycats",'
    b'"banner_type":"dark","storage_path":"WyCats-dark","stats":'
    + STATS
    + b',"fetched_at":"2026-11-22T16:36:37.58608449Z"}}'
)
