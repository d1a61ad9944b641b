"""
Every layout by its name.

A layout is one file of pure numbers, from a snapshot and a look to values for its template. To add
one, write its file and name it here.
"""

from github_banners.drawing.layouts import classic
from github_banners.drawing.layouts.arrangement import Arrangement
from github_banners.look import Layout

LAYOUTS: dict[Layout, Arrangement] = {Layout.CLASSIC: classic.ARRANGEMENT}
