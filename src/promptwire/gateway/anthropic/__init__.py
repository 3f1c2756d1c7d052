"""Anthropic's Messages API, from and to OpenAI's JSON."""
