"""RWKV Chat: the application. Front ends above `session`, the engine below it."""

__version__ = "0.1.0"
