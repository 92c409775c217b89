"""`./dev mutants`: changes the code in one place at a time, and looks whether a test notices.

changes     what may be changed: by cosmic-ray in Python, by texts in SQL and Lua
coverage    which tests run which lines, kept in the bench
copy        the copy of the project that is changed, and the bench it is tested on
warm        a process with everything loaded but memora; it forks for each change
command     the command: samples, runs, resumes, reports
"""
