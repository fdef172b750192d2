"""`python -m components.gateway`: see `components.gateway.server`."""

from __future__ import annotations

import os
import sys

from components.gateway.server import main

code = main()
sys.stdout.flush()
sys.stderr.flush()
# A thread that still loads a model would hold the process, and TensorFlow's own end takes a second.
os._exit(code)
