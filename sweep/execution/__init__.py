"""Where trainings run: candidates and run seeds in, outcomes out, on a pool of processes."""
