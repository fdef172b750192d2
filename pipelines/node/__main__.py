"""The process of one node: `python -m pipelines.node`."""

from __future__ import annotations

import logging
import os
import sys

from pipelines.node.command import die_with_parent, main

if __name__ == "__main__":
    die_with_parent()
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # As a forked node ends: tearing TensorFlow down takes part of a second, and leftover threads could block it.
    os._exit(code)
