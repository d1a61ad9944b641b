"""
The drawings on disk: one file for each permanent banner, at the newest version that was put.

`names` and `pictures` are pure: what a banner's path may be, what a picture may be and how it
carries its version; `store` reads and writes; `routes` and `app` serve it. Draws nothing and knows no numbers.
"""
