"""`python -m components.rollout.page [ROLLOUT]`: the page on stdout, whatever is down."""

from __future__ import annotations

import sys

from components.rollout.page.reading import draw
from pipelines.settings import Settings

sys.stdout.buffer.write(draw(Settings.from_environment(), *sys.argv[1:2]).encode())
