"""`trainer bench`: how fast this machine trains, measured in turns. Imports torch only where it is timed."""
