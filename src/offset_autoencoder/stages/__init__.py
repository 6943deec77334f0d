"""One module a stage of dvc.yaml: it reads params, calls the library, writes files."""
