"""
The renderer: draws what other services ask for.

`updates` handles one event of a banner that has changed. Decides nothing about numbers.
"""
