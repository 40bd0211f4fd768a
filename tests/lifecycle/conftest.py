from support.stage import gate, log, program

__all__ = ["gate", "log", "program"]
