"""Test doubles, public so that users can test their own programs with them."""
