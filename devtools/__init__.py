"""The development bench behind `./dev`. It uses only Python's standard library, so that it runs on a bare machine."""
