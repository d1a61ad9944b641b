"""
What the services say to each other.

`shapes` declares each wire shape once; `translation` turns our nouns into them and back. Nothing
here sends, draws or keeps.
"""
