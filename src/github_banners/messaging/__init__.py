"""
Communication between the services: signed HTTP calls, and events through Kafka.

Wire format: `schemas` declares each message once, `mapping` converts domain models to messages and
back, `version_check` tells plausible versions from those of a wrong clock.

HTTP: `signing` signs and verifies calls, `nonces` detects repeated ones, `signature_middleware`
protects a service, `clients` call the other services.

Kafka: `events` names topics and protocols, `producer` and `consumer` implement them, `offsets` tells
what may be committed, `topics` creates the topics, `dead_letters` stores records that were given up,
`kafka` converts errors and records of aiokafka. `record_reader` fetches what aiokafka can't decode,
`record_batches` parses it and `decompression` limits its size. `testing` is a broker in memory.

`trace_context` carries one trace id through all calls and events.
"""
