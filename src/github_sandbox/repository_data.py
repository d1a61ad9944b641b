"""Data that the details of generated repositories are built from: texts, licences, colours."""

from collections.abc import Mapping, Sequence

from github_sandbox.models import License

PURPOSES: Mapping[str, Sequence[str]] = {
    "atlas": ("Maps of places that no longer exist", "Draws maps from OpenStreetMap extracts"),
    "badger": ("Reminds a team of reviews that are waiting", "Badges for build results"),
    "beacon": ("Sends a heartbeat and alerts when it stops", "Finds services on the local network"),
    "bridge": ("Connects Matrix rooms with IRC channels", "Calls native code without glue"),
    "bucket": ("A local server that behaves like S3", "Synchronizes folders with object storage"),
    "cache": ("A cache that loads each key once", "An LRU cache with a limit in bytes"),
    "canvas": ("Draws diagrams from plain text", "A whiteboard in the browser"),
    "compass": ("Route planning for cyclists", "Finds your way around a large code base"),
    "cron": ("Runs jobs on time and reports those that failed", "Parses crontab expressions"),
    "dotfiles": ("My dotfiles", "Configuration for zsh, tmux and Neovim"),
    "engine": ("A rules engine for small businesses", "A 2D game engine made for a game jam"),
    "falcon": ("Fast full-text search for static sites", "Load testing from the command line"),
    "feed": ("Turns newsletters into RSS feeds", "A feed reader without an account"),
    "fjord": ("Streams large CSV files in constant memory", "Weather along the coast of Norway"),
    "forms": ("Form validation with readable errors", "Accessible forms, server-rendered"),
    "gallery": ("A photo gallery from a folder of pictures", "Shows pictures as fast as you scroll"),
    "garden": ("Notes on everything I learn", "Tells when to water the plants"),
    "gateway": ("An API gateway in one file of configuration", "Routes webhooks to development machines"),
    "harbor": ("Deploys containers to a single server", "Tide tables for the terminal"),
    "hooks": ("Git hooks that take less than a second", "A collection of React hooks"),
    "index": ("An index of public data sets", "Searches the text of scanned documents"),
    "journal": ("A diary in Markdown files", "Structured logging with few dependencies"),
    "kernel": ("A toy kernel that boots to a shell", "Kernels for image filters"),
    "kit": ("Everything I start a new project with", "A component kit for dashboards"),
    "ledger": ("Double-entry bookkeeping in text files", "Splits the bills of a shared flat"),
    "lens": ("Looks into nested data without exceptions", "Inspects what a container image holds"),
    "map": ("An interactive map of public toilets", "Ordered maps with fast ranges"),
    "matrix": ("Sparse matrices for beginners", "Tests a library against many versions"),
    "notes": ("Lecture notes", "Notes that synchronize through Git"),
    "orchard": ("Manages Apple devices from Linux", "Decision trees that explain themselves"),
    "parser": ("A parser for recipes in plain text", "Parses dates as people write them"),
    "pipeline": ("Data pipelines as plain functions", "Builds, tests and releases in one file"),
    "planner": ("Plans meals for a week", "Plans shifts for volunteers"),
    "proxy": ("A debugging proxy for HTTP/2", "Lets old clients speak TLS"),
    "queue": ("A job queue on top of PostgreSQL", "Persistent queues in one file"),
    "router": ("A small router for single-page applications", "Firmware for home routers"),
    "scanner": ("Finds secrets before they are committed", "Scans receipts and files them"),
    "server": ("A web server to learn from", "Serves maps, tiles and nothing else"),
    "shell": ("A shell with structured output", "Completions for commands that have none"),
    "sketch": ("Generative art, one sketch a day", "Turns photographs into line drawings"),
    "tables": ("Prints tables that fit the terminal", "Compares two tables cell by cell"),
    "theme": ("A theme for people who work at night", "A quiet colour theme for editors"),
    "widget": ("Widgets for the desktop", "A widget that shows the next train"),
}  # fmt: skip
"""What a repository is for, by the noun in its name; two plain sentences each."""

ADDITIONS = (
    " in {language}", ", written in {language}", " (work in progress)", " - no longer maintained",
    " for fun", " without dependencies", " 🚀", " ✨ contributions welcome", " 🌱",
)  # fmt: skip
"""Endings of some descriptions."""

LONG_ENDING = (
    ". It started as an exercise, grew while it was used at work every day, and now has tests, a"
    " documentation with examples for each feature, and a plan for the next version. Questions,"
    " bug reports and translations are welcome; please read the contributing guide before you open"
    " a pull request"
)
"""The ending of a few descriptions, which makes them about 350 characters long."""

FOREIGN_DESCRIPTIONS = (
    "シンプルで使いやすいツールです", "個人用の設定ファイル", "一个简单易用的命令行工具", "学习笔记与示例代码",
    "간단한 웹 서버 예제", "Una herramienta pequeña para el día a día", "Простая библиотека для работы с текстом",
    "مكتبة صغيرة لمعالجة النصوص", "🔥🔥 最速のパーサー 🔥🔥",
)  # fmt: skip

COMPANION_LANGUAGES = (
    "Shell", "HTML", "CSS", "JavaScript", "Dockerfile", "Makefile", "Python", "SCSS", "TypeScript",
    "C", "Batchfile", "Go", "Ruby", "TeX", "Perl", "Lua", "C++",
)  # fmt: skip
"""Languages that repositories contain besides their main language."""

LICENSES = (
    License("mit", "MIT License", "MIT"),
    License("apache-2.0", "Apache License 2.0", "Apache-2.0"),
    License("gpl-3.0", "GNU General Public License v3.0", "GPL-3.0"),
    License("other", "Other", "NOASSERTION"),
    None,
)
"""Licences of generated repositories; NOASSERTION is one that GitHub does not recognize."""

LICENSE_WEIGHTS = (45, 15, 10, 8, 22)

# https://github.com/github-linguist/linguist/blob/main/lib/linguist/languages.yml
LANGUAGE_COLORS: Mapping[str, str] = {
    "JavaScript": "#f1e05a", "Python": "#3572A5", "TypeScript": "#3178c6", "Java": "#b07219",
    "Go": "#00ADD8", "C++": "#f34b7d", "C#": "#7355dd", "Ruby": "#701516", "PHP": "#4F5D95",
    "C": "#555555", "Rust": "#dea584", "Shell": "#89e051", "Kotlin": "#A97BFF",
    "Swift": "#F05138", "HTML": "#e34c26", "CSS": "#663399", "Jupyter Notebook": "#DA5B0B",
    "Dart": "#00B4AB", "Scala": "#c22d40", "Elixir": "#6e4a7e", "Lua": "#000080",
    "Haskell": "#5e5086", "Perl": "#0298c3", "R": "#198CE7", "Julia": "#a270ba",
    "Clojure": "#db5855", "Objective-C": "#438eff", "Emacs Lisp": "#c065db", "TeX": "#3D6117",
    "Dockerfile": "#384d54", "Nix": "#7e7eff", "Zig": "#ec915c", "OCaml": "#ef7a08",
    "F#": "#b845fc", "Common Lisp": "#3fb68b", "Ren'Py": "#ff7f7f",
    "Visual Basic .NET": "#945db7", "Vim Script": "#199f4b", "Makefile": "#427819",
    "Batchfile": "#C1F12E", "SCSS": "#c6538c",
}  # fmt: skip
