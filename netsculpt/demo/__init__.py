"""The first job: grow, split and prune a small network on real digits, and report what happened."""
