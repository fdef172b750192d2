"""Whole rollouts on simulated users, through the real `decide`: how often it is right, and what being wrong costs."""
