"""Configuration of the documentation site, which `./run docs` builds from the Markdown pages."""

from tools.site_extension import UNLINKED

project = "EVA twin"
author = project_copyright = "The EVA twin authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "tools.site_extension"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "assets/**.md", "real/**.md"]
exclude_patterns = [".*", "out", "build", "dist", "eva_sim", "tests"]

default_role = "literal"  # docstrings have code in single quotes
smartquotes = False

html_theme = "furo"
html_title = "EVA twin"
html_static_path = ["style"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # links lead to headings, as on hosting sites
html_math_renderer = "mathml"  # browsers draw it themselves: no script from the network

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True
nitpick_ignore_regex = UNLINKED
