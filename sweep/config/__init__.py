"""Study files and the registry: what users write, checked before anything else reads it."""
