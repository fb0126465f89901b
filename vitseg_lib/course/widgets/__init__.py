"""Interactive widgets: each sends its data once, and the browser does the rest.

Each is a pair of files, ``<name>.py`` and ``<name>.js``. All are built on ``base`` (the colours, the joined browser
side, ``to_html``) and on ``kit.js`` and ``kit.css`` (card, controls, canvases, the keyboard).
"""
