"""Report of a sweep: runs compared with each other and with published figures."""
