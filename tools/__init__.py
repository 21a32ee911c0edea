"""What building and checking need beside Python's own tools."""
