"""
The renderer: draws what other services ask for.

`updates` handles one event of a banner that has changed; `consume` takes events from the broker and
sees each through: `lines` says who is next, `attempts` tries, `retries` decides when to try again.
`routes` draws for the api, `app` puts it together. Decides nothing about numbers.
"""
