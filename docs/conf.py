"""Settings of Sphinx, which builds these pages as a site: `make docs-site`."""

project = "GitHub Banners"
copyright = "the authors of GitHub Banners"  # noqa: A001 - the name that Sphinx reads
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
html_theme = "furo"
html_title = project
html_copy_source = False
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
nitpicky = True
