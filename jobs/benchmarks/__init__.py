"""Measurements that anyone can repeat: the platform beside a named alternative, in one run."""
