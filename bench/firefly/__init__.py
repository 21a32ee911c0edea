"""A growth step of firefly descent, beside the published route."""
