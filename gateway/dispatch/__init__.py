"""The dispatching process: studies become jobs, results go to their destinations."""
