"""
What the services say to each other.

`shapes` declares each wire shape once; `translation` turns our nouns into them and back. By HTTP:
`signing` says what makes a call good and `nonces` that nothing comes twice, `verify` is the gate in
front of a service, `calls` are the clients. By Kafka: `events` names what goes through it, `producer`
and `source` are its two ends, `offsets` says what may be committed, `topics` makes the topics,
`dead_letters` keeps what was given up, `kafka` turns the library's words into ours, `testing` is a
broker in this process. What the library can't decode, `reading` fetches and `record_batches` parses;
`decompression` limits what is unpacked, `versions` says which versions can be believed. `tracing`
follows one id through all of it. Nothing here draws or keeps.
"""
