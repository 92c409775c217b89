"""The development bench behind `./dev`: Python's standard library only, so that it runs on a bare machine."""
