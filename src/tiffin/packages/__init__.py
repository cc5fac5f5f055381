"""Which files a list of requirements comes to, and their bytes: PyPI through uv, Debian, the lock."""
