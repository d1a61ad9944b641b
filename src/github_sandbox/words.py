"""
The words that invented people and repositories are named with.

The languages are spelled as github-linguist spells them, most used first.
https://github.com/github-linguist/linguist/blob/main/lib/linguist/languages.yml
"""

ADJECTIVES = (
    "amber", "ancient", "bold", "brisk", "calm", "clever", "cosmic", "crisp", "daily", "dapper",
    "deep", "eager", "early", "fast", "fuzzy", "gentle", "golden", "grand", "happy", "hidden",
    "humble", "idle", "icy", "jolly", "keen", "late", "light", "little", "lucid", "mellow", "mini",
    "nimble", "noisy", "open", "plain", "quick", "quiet", "rusty", "simple", "tiny", "warm",
)  # fmt: skip
NOUNS = (
    "atlas", "badger", "beacon", "bridge", "bucket", "cache", "canvas", "compass", "cron", "dotfiles",
    "engine", "falcon", "feed", "fjord", "forms", "gallery", "garden", "gateway", "harbor", "hooks",
    "index", "journal", "kernel", "kit", "ledger", "lens", "map", "matrix", "notes", "orchard",
    "parser", "pipeline", "planner", "proxy", "queue", "router", "scanner", "server", "shell",
    "sketch", "tables", "theme", "widget",
)  # fmt: skip
REPOSITORY_NAMES = tuple(f"{adjective}-{noun}" for noun in NOUNS for adjective in ADJECTIVES)
"""41 x 43 names: any step that neither divides visits each of them once."""

LANGUAGES = (
    "JavaScript", "Python", "TypeScript", "Java", "Go", "C++", "C#", "Ruby", "PHP", "C", "Rust",
    "Shell", "Kotlin", "Swift", "HTML", "CSS", "Jupyter Notebook", "Dart", "Scala", "Elixir", "Lua",
    "Haskell", "Perl", "R", "Julia", "Clojure", "Objective-C", "Vim Script", "Emacs Lisp", "TeX",
    "Dockerfile", "Nix", "Zig", "OCaml", "F#", "Common Lisp", "Ren'Py", "Visual Basic .NET",
)  # fmt: skip

GIVEN_NAMES = (
    "Aiko", "Bram", "Chidi", "Dara", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kavya",
    "Lena", "Mateo", "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Stellan", "Tove", "Umar",
    "Vera", "Wanda", "Xenia", "Yusuf", "Zofia",
)  # fmt: skip
FAMILY_NAMES = (
    "Abernethy", "Bellweather", "Castellane", "Dunmore", "Eastwick", "Farrowdale", "Glimmerstone",
    "Hollowell", "Inglenook", "Juniper", "Kestrelman", "Larkspur", "Merriweather", "Nightingale",
    "Oakenfold", "Pemberley", "Quillfeather", "Ravenscroft", "Silverthorne", "Thistlewood",
    "Underbough", "Vandermoor", "Winterbourne", "Yarrow", "Zephyrine",
)  # fmt: skip
