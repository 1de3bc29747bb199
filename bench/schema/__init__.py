"""Every value that reaches the disk: cells, what came out of them, and the run as a whole.

Which of these facts make two results comparable is the business of bench.identity.
"""
