"""What each command of the command line does; `cli` reads the options, and imports these only to run one."""
