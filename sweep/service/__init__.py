"""The service: studies over HTTP for a team, behind a guard that stands before everything else."""
