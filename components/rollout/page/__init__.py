"""The Rollouts page: HTML with inline SVG, one answer without anything to load.

    python -m components.rollout.page                        # all rollouts
    python -m components.rollout.page shop-3-1a2b3c          # one, with its history

The gateway shows it at `/rollouts`, drawn by a process of its own: predictions never wait for it.
"""
