"""
The renderer service: draws banners for the API service and for every update event.

`preview_route` draws one banner per HTTP request. `update_consumer` polls events from Kafka and
commits their offsets, `worker` processes each record with the handler from `updates`, and `schedule`
decides what starts next and what follows a failure. `batching` groups drawn banners into calls to the
storage. `renderer_service` puts the service together. The numbers come with each request and event.
"""
